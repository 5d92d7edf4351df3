"""`gateway personas`, as an operator uses it."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from gateway.cli.personas import personas

Write = Callable[..., str]
SHIPPED = Path(__file__).parents[2] / "personas.yaml"
BAD = "  mia: {name: Mia, model: fats}\n  bo: {name: Bo, model: fast, system: '{{usr}}'}\n"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no `.env` of a developer is


def run(*arguments: str) -> Result:
    return CliRunner(env={"GATEWAY_PERSONAS": None}).invoke(personas, list(arguments))


def test_check_tells_what_it_found_in_a_good_file() -> None:
    result = run("check", str(SHIPPED))
    assert (result.exit_code, result.output) == (0, f"{SHIPPED} is good: 5 personas, 4 models, 4 providers.\n")


def test_check_tells_each_mistake_in_a_line(write: Write) -> None:
    result = run("check", write(BAD))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "personas.yaml:7:27: there is no model 'fats'; did you mean 'fast'?",
        "personas.yaml:8:40: there is no macro 'usr'; did you mean 'user'?",
    ]
    assert result.stderr == "personas.yaml: 2 mistakes.\n"


def test_check_tells_warnings_and_passes(write: Write) -> None:
    result = run("check", write("  mia: {name: Mia, model: fast}\n"))
    assert result.exit_code == 0
    assert result.output.startswith("personas.yaml:7:3: warning: nobody may talk to 'mia'")


def test_check_speaks_json_and_github(write: Write) -> None:
    told = json.loads(run("check", write(BAD), "--format", "json").stdout)
    assert told["ok"] is False
    assert told["errors"][0] == {
        "path": "personas.yaml",
        "line": 7,
        "column": 27,
        "message": "there is no model 'fats'; did you mean 'fast'?",
    }
    assert run("check", "personas.yaml", "--format", "github").stdout.splitlines()[0] == (
        "::error file=personas.yaml,line=7,col=27::there is no model 'fats'; did you mean 'fast'?"
    )


def test_check_takes_the_file_that_the_gateway_would(write: Write, tmp_path: Path) -> None:
    write("  mia: {name: Mia, model: fast}\n")
    elsewhere = CliRunner(env={"GATEWAY_PERSONAS": str(SHIPPED)}).invoke(personas, ["check"])
    assert elsewhere.output.startswith(f"{SHIPPED} is good")


def test_show_gives_the_resolved_persona() -> None:
    shown = YAML(typ="safe").load(run("show", "ada", "--file", str(SHIPPED)).stdout)["ada"]
    assert shown["params"] == {"temperature": 0.3, "max_output_tokens": 800}
    assert shown["system"].startswith("You are {{char}}.")
    assert "extends" not in shown


def test_show_tells_where_each_value_was_said() -> None:
    lines = SHIPPED.read_text().splitlines()
    told = dict(
        line.split(": ", 1) for line in run("show", "ada", "--file", str(SHIPPED), "--origin").stdout.splitlines()
    )
    for value, words in {
        "params.temperature": "temperature: 0.3",
        "stand_in": "stand_in: local",
        "system": "system: |",
    }.items():
        file, number = told[value].rsplit(":", 1)
        assert file == str(SHIPPED)
        assert words in lines[int(number) - 1]


def test_show_names_the_nearest_persona() -> None:
    result = run("show", "adda", "--file", str(SHIPPED))
    assert (result.exit_code, result.stderr) == (1, "Error: There is no persona 'adda'; did you mean 'ada'?\n")


def test_show_of_a_bad_file_tells_its_mistakes(write: Write) -> None:
    result = run("show", "mia", "--file", write(BAD))
    assert result.exit_code == 1
    assert "personas.yaml:7:27: there is no model 'fats'" in result.stderr


@pytest.fixture(scope="module")
def schema() -> dict[str, object]:
    told: dict[str, object] = json.loads(run("schema").stdout)
    return told


def test_schema_takes_the_shipped_file(schema: dict[str, object]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(YAML(typ="safe", pure=True).load(SHIPPED.read_text()), schema)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("temperature: 0.7", "temprature: 0.7"),
        ("window: 4096", "window: 100"),
        ("version: 1", "version: 2"),
        ("nickname: the librarian", "nickname:"),
        ("kind: echo", "kind: ehco"),
        ("  parrot:", "  Parrot:"),
    ],
)
def test_schema_refuses_what_check_refuses(schema: dict[str, object], right: str, wrong: str) -> None:
    text = SHIPPED.read_text()
    assert right in text
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(YAML(typ="safe", pure=True).load(text.replace(right, wrong)), schema)


@pytest.fixture
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file `.env`; what it sets does not outlive the test."""
    for name in ("GATEWAY_PERSONAS", "GATEWAY_PERSONA"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path / ".env"


def test_the_file_may_be_named_in_dotenv(write: Write, dotenv: Path) -> None:
    write(BAD)
    dotenv.write_text(f"GATEWAY_PERSONAS={SHIPPED}\n")
    assert CliRunner().invoke(personas, ["check"]).output.startswith(f"{SHIPPED} is good")


def test_a_misspelt_setting_is_told(write: Write, dotenv: Path) -> None:
    write("  mia: {name: Mia, model: fast, access: {roles: [member]}}\n")
    dotenv.write_text(f"GATEWAY_PERSONA={SHIPPED}\n")
    result = CliRunner().invoke(personas, ["check"])
    assert result.stderr == "warning: there is no setting GATEWAY_PERSONA; did you mean 'GATEWAY_PERSONAS'?\n"
    assert result.stdout.startswith("personas.yaml is good")
