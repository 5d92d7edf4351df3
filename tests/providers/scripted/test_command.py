"""`gateway fake-upstream`, its scripts, and what the documentation says of both."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from gateway.cli import fake_upstream
from providers.scripted.faults import FAULTS
from providers.scripted.script import Script
from providers.scripted.server import ScriptedUpstream

PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text()


def test_a_script_file_holds_texts_fields_and_faults(tmp_path: Path) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text('- Hello there\n- {reply: [a, b], gap: 0.1}\n- {fault: cut, cut_at: 30}\n- {reply: "caf\\uDCFF"}\n')
    assert fake_upstream.read_scripts(path) == [
        Script(reply="Hello there"),
        Script(reply=("a", "b"), gap=0.1),
        msgspec.structs.replace(FAULTS["cut"], cut_at=30),
        Script(reply="caf\udcff"),
    ]


@pytest.mark.parametrize(
    ("scripts", "sentence"),
    [
        ("- {fault: nope}", "There is no fault 'nope'; there are bad-gateway-html"),
        ("- {replyy: Hi}", "unknown field `replyy`"),
        ("- 5", "A script is a text or a mapping, not 5."),
        ("reply: Hi", "A script file holds a list."),
        ("- [", "while parsing"),
    ],
)
def test_a_wrong_script_file_is_refused_with_a_sentence(tmp_path: Path, scripts: str, sentence: str) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text(scripts)
    result = CliRunner().invoke(fake_upstream.command, ["--script", str(path)])
    assert result.exit_code == 1
    assert sentence in result.output


def test_the_command_serves_until_interrupted_and_repeats_its_scripts(
    tmp_path: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text("- One\n- Two\n")
    started: list[ScriptedUpstream] = []
    monkeypatch.setattr(
        ScriptedUpstream, "start", lambda self, start=ScriptedUpstream.start: (start(self), started.append(self))
    )
    heard = []

    def asks_then_interrupts(seconds: float) -> None:
        body = {"model": "m", "messages": []}
        for _ in range(3):
            answer = client.post(f"{started[0].base_url}/chat/completions", json=body).json()
            heard.append(answer["choices"][0]["message"]["content"])
        raise KeyboardInterrupt

    monkeypatch.setattr(fake_upstream.time, "sleep", asks_then_interrupts)
    result = CliRunner().invoke(fake_upstream.command, ["--port", "0", "--script", str(path)])
    assert (result.exit_code, heard) == (0, ["One", "Two", "One"])
    assert started[0].base_url in result.output


def test_a_taken_port_is_told(scripted_upstream: ScriptedUpstream) -> None:
    port = str(httpx.URL(scripted_upstream.url).port)
    result = CliRunner().invoke(fake_upstream.command, ["--port", port])
    assert result.exit_code == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in result.output


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_each_documented_test_passes_by_itself(tmp_path: Path, example: str) -> None:
    (tmp_path / "test_example.py").write_text(example)
    command = [sys.executable, "-m", "pytest", "--strict-markers", "-p", "no:cacheprovider"]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert f"{len(re.findall('def test_', example))} passed" in run.stdout


def test_the_documented_scripts_are_scripts(tmp_path: Path) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[-1])
    assert len(fake_upstream.read_scripts(path)) == 4


def test_every_fault_is_documented() -> None:
    assert [name for name in FAULTS if f"`{name}`" not in PAGE] == []
