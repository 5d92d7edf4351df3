"""`gateway personas`: look into personas.yaml. Needs no database, keys or network."""

import io
import json
import sys
from typing import Any

import click
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from gateway.cli.environment import read_environment
from personas.catalog import CheckedDocument, load_document
from personas.errors import PersonaFileError, Problem, did_you_mean
from personas.loading.resolve import Resolved
from personas.loading.schema import json_schema

FILE = click.Path(dir_okay=False)


@click.group()
def personas() -> None:
    """Check and show the personas of personas.yaml."""
    read_environment()  # before a subcommand looks for GATEWAY_PERSONAS


@personas.command()
@click.argument("file", type=FILE, envvar="GATEWAY_PERSONAS", default="personas.yaml")
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
def check(file: str, form: str) -> None:
    """Tell every mistake in FILE, each with its line and column; exits with 1 if there is any."""
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    counts: dict[str, int] = {}
    try:
        catalog = load_document(file).catalog
    except PersonaFileError as error:
        errors = error.problems
    else:
        warnings = catalog.warnings
        counts = {"personas": len(catalog.personas), "models": len(catalog.models), "providers": len(catalog.providers)}
    if form == "json":
        told = {"errors": [_as_json(one) for one in errors], "warnings": [_as_json(one) for one in warnings], **counts}
        click.echo(json.dumps({"ok": not errors, **told}, ensure_ascii=False, indent=2))
    else:
        tell = _as_annotation if form == "github" else _as_line
        for kind, problems in (("error", errors), ("warning", warnings)):
            for problem in problems:
                click.echo(tell(kind, problem))
        if errors:
            click.echo(f"{file}: {len(errors)} mistake{'s' if len(errors) > 1 else ''}.", err=True)
        else:
            click.echo(f"{file} is good: {', '.join(f'{count} {name}' for name, count in counts.items())}.")
    sys.exit(1 if errors else 0)


@personas.command()
@click.argument("persona_id", metavar="ID")
@click.option("--file", type=FILE, envvar="GATEWAY_PERSONAS", default="personas.yaml", show_default=True)
@click.option("--origin", is_flag=True, help="Tell where each value was said, as file:line.")
def show(persona_id: str, file: str, origin: bool) -> None:
    """Show the persona ID as YAML, with all that it takes from what it extends and from the defaults."""
    try:
        checked = load_document(file)
    except PersonaFileError as error:
        raise click.ClickException(f"{file} has mistakes.\n{error}") from None
    persona = checked.resolved.get(persona_id)
    if persona is None:
        raise click.ClickException(f"There is no persona {persona_id!r}{did_you_mean(persona_id, checked.resolved)}")
    if origin:
        for path, place in _origins(checked, persona):
            click.echo(f"{path}: {place}")
    else:
        click.echo(_as_yaml({persona_id: persona.data}), nl=False)
        if not persona.abstract:
            click.echo(f"# digest {checked.catalog.personas[persona_id].digest}")


@personas.command()
def schema() -> None:
    """Print the JSON Schema of personas.yaml, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))


def _as_line(kind: str, problem: Problem) -> str:
    return (
        str(problem)
        if kind == "error"
        else f"{problem.path}:{problem.line}:{problem.column}: {kind}: {problem.message}"
    )


def _as_annotation(kind: str, problem: Problem) -> str:
    # The format of GitHub's workflow commands, in which these three characters separate.
    message = problem.message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{kind} file={problem.path},line={problem.line},col={problem.column}::{message}"


def _as_json(problem: Problem) -> dict[str, Any]:
    return {"path": problem.path, "line": problem.line, "column": problem.column, "message": problem.message}


def _as_yaml(value: Any) -> str:
    yaml = YAML()
    yaml.width = 110
    written = io.StringIO()
    yaml.dump(_with_lines(value), written)
    return written.getvalue()


def _with_lines(value: Any) -> Any:
    """The value with texts of several lines marked to be written as such."""
    if isinstance(value, dict):
        return {key: _with_lines(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_lines(inner) for inner in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value


def _origins(checked: CheckedDocument, persona: Resolved) -> list[tuple[str, str]]:
    """Each single value of a persona and where it was said; maps are told by what is in them."""
    holders = {path[:-1] for path in persona.origins}
    told = [(path, said) for path, said in persona.origins.items() if path not in holders]
    return [(".".join(map(str, path)), checked.document.origin(said)) for path, said in sorted(told, key=str)]
