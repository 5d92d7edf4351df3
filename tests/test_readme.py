"""The README's examples run as they stand, against a gateway with a scripted model."""

import asyncio
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest
from builders import Gateway

from personas.catalog import load_catalog
from personas.errors import PersonaFileError

README = (Path(__file__).parent.parent / "README.md").read_text()


def block(language: str, containing: str) -> str:
    """The code block of this language that holds these words."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = [block for block in blocks if containing in block]
    return str(found)


async def output_of(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode()


@pytest.mark.anyio
async def test_the_curl_example(gateway: Gateway) -> None:
    script = block("sh", "/api/auth/signup").replace("http://127.0.0.1:8000", gateway.url)
    output = await output_of("bash", "-c", script)
    names = re.findall(r"^event: (.*)$", output, re.MULTILINE)
    assert (names[0], names[-1]) == ("turn.started", "turn.completed"), output


@pytest.mark.anyio
async def test_the_javascript_example(gateway: Gateway, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    ada = await gateway.person("ada")
    known = {"gateway": gateway.url, "token": ada.token, "chat": await ada.chat()}
    script = tmp_path / "example.mjs"
    constants = "".join(f"const {name} = '{value}';\n" for name, value in known.items())
    script.write_text(constants + block("js", "TextDecoderStream"))
    output = await output_of("node", str(script))
    assert (await ada.messages(known["chat"]))[-1]["content"] == output.strip()


@pytest.mark.anyio
async def test_the_python_example(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    ada = await gateway.person("ada")
    names: dict[str, Any] = {"gateway": gateway.url, "token": ada.token}
    code = compile(block("python", "httpx.Client"), "README.md", "exec")
    await asyncio.to_thread(exec, code, names)
    assert names["turn"]["state"] == "completed"
    assert names["turn"]["reply"]["content"] in capsys.readouterr().out


def test_the_persona_example_and_its_mistake(tmp_path: Path) -> None:
    frame = """\
        version: 1
        providers: {echo: {kind: echo}}
        models: {echo: {provider: echo, name: echo, window: 4000, max_output: 400}}
        defaults: {model: echo}
        """
    path = tmp_path / "personas.yaml"
    example = block("yaml", "greetings")
    path.write_text(textwrap.dedent(frame) + example)
    assert load_catalog(path).get("mia").name == "Mia"
    path.write_text(textwrap.dedent(frame) + example.replace("system:", "sytem:"))
    with pytest.raises(PersonaFileError) as caught:
        load_catalog(path)
    told = re.sub(r"^.*personas\.yaml:\d+", "personas.yaml:34", str(caught.value).splitlines()[0])
    assert told in README
