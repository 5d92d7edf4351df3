"""docs/personas.md says everything that the format knows, and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from personas.catalog import load_catalog
from personas.loading import schema
from personas.macros import FIXED

PAGE = (Path(__file__).parents[2] / "docs" / "personas.md").read_text()
SECTIONS = {
    "Top level": schema.PersonasFile,
    "Providers": schema.ProviderEntry,
    "Models": schema.ModelEntry,
    "Price": schema.PriceEntry,
    "Personas": schema.PersonaEntry,
    "Params": schema.ParamsEntry,
    "Access": schema.AccessEntry,
    "Context": schema.ContextEntry,
    "Lorebooks": schema.LorebookEntry,
    "Entries": schema.LoreItem,
}


def rows(heading: str) -> dict[str, str]:
    """The first two columns of the table under a heading."""
    section = re.split(r"(?m)^#+ ", PAGE.split(f"# {heading}\n", 1)[1], maxsplit=1)[0]
    return dict(re.findall(r"(?m)^\| `([^`]+)` \| ?(.*?) ?\|", section))


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_documented_and_no_other(heading: str) -> None:
    assert set(rows(heading)) == set(SECTIONS[heading].model_fields)


@pytest.mark.parametrize("heading", SECTIONS)
def test_defaults_and_requirements_are_those_of_the_schema(heading: str) -> None:
    for key, told in rows(heading).items():
        field = SECTIONS[heading].model_fields[key]
        if (heading, key) in {("Personas", "name"), ("Personas", "model")}:
            assert told == "required"  # After inheritance, where the schema cannot look.
        elif field.is_required():
            assert told == "required", key
        elif isinstance(field.default, str | int | float) and field.default != "":
            assert told == f"`{str(field.default).replace('True', 'true').replace('False', 'false')}`", key
        else:
            assert told != "required", key


def test_every_model_of_the_schema_has_its_section() -> None:
    models = {
        value
        for value in vars(schema).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == schema.__name__
    }
    told_elsewhere = {schema.Strict, schema.Annotatable, schema.FileSpec, schema.ExampleEntry, schema.DefaultsEntry}
    assert models - told_elsewhere == set(SECTIONS.values())


def test_every_macro_is_documented() -> None:
    assert set(rows("Macros")) == {*(f"{{{{{name}}}}}" for name in FIXED), "{{// ...}}"}


def test_the_smallest_file_works(write: Callable[..., str]) -> None:
    example = re.search(r"(?s)```yaml\n(.*?)```", PAGE)
    assert example is not None
    catalog = load_catalog(write(whole=example[1]))
    assert catalog.warnings == ()
    assert list(catalog.personas) == ["mia"]
