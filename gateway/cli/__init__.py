"""The command `gateway`. Each subcommand is a module that is imported when it is called, so that `--help` is quick."""

import importlib

import click

COMMANDS = {
    "serve": ("gateway.cli.serve", "serve", "Serve the gateway and its page."),
    "personas": ("gateway.cli.personas", "personas", "Check and show the personas of personas.yaml."),
    "users": ("gateway.cli.users", "users", "Make admins, reset passwords, change roles."),
    "keys": ("gateway.cli.keys", "keys", "Add, list, replace and remove provider keys."),
    "providers": ("gateway.cli.providers", "providers", "Ask the providers: is the key good, which models are there."),
    "fake-upstream": ("gateway.cli.fake_upstream", "command", "Serve scripted replies in a provider's place."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, _, help_) in COMMANDS.items()])


@click.group(cls=_Lazy)
@click.version_option(package_name="persona-chat-gateway")
def main() -> None:
    """A persona chat gateway: personas from YAML, streamed replies, every turn kept."""
