"""pydantic's findings, told in an operator's words and places."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from personas.errors import Problem, did_you_mean
from personas.loading.document import Document, Path
from personas.loading.schema import ENVIRONMENT, ID, VARIABLE, WEB_ADDRESS, PersonasFile

PATTERNS = {
    ID: "an id has lower-case letters, digits, '-' and '_', and begins with a letter",
    VARIABLE: "a variable's name has lower-case letters, digits and '_', and begins with a letter",
    ENVIRONMENT: "name an environment variable, such as OPENAI_API_KEY; keys are never written here",
    WEB_ADDRESS: "write an http(s) address without user, query or fragment",
    r"^\d{4}-\d{2}-\d{2}$": "write a date, such as 2023-06-01",
}
EXPECTED = {
    "string_type": "text; put it in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "decimal_type": "a number",
    "is_instance_of": "a number",
    "bool_type": "true or false",
    "list_type": "a list, as in [a, b]",
    "dict_type": "keys with values",
    "model_type": "keys with values, with a blank after each colon",
    "model_attributes_type": "keys with values, with a blank after each colon",
}
LIMITS = {
    "greater_than_equal": ("ge", "must be at least {}"),
    "greater_than": ("gt", "must be more than {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "too_long": ("max_length", "may have at most {}"),
    "too_short": ("min_length", "must have at least {}"),
    "string_too_long": ("max_length", "may have at most {} characters"),
    "string_too_short": ("min_length", "must have at least {} characters"),
}


def format_problems(document: Document) -> Iterator[Problem]:
    """Everything in which the document is not of the format; values that are missing altogether are told elsewhere."""
    try:
        PersonasFile.model_validate(document.data)
    except ValidationError as error:
        told: set[tuple[Path, str]] = set()
        for detail in error.errors(include_url=False):
            path = _real_path(document.data, detail["loc"])
            at_key = detail["type"] == "extra_forbidden" or detail["loc"][-1] == "[key]"
            message = _message(detail, path)
            # A value that fits no member of a union is found wrong once for each member: one sentence is enough.
            if detail["input"] is not None and (path, detail["type"].split("_")[-1]) not in told:
                told.add((path, detail["type"].split("_")[-1]))
                yield document.problem(path, _where(path[:-1] if at_key else path) + message, key=at_key)


def _real_path(data: Any, loc: tuple[str | int, ...]) -> Path:
    """The steps of `loc` that exist in the document: pydantic puts names of union members between them."""
    path: Path = ()
    for step in loc:
        if _has(data, step):
            data = data[step]
            path = (*path, step)
    # A key that is missing is not in the document, and is still the place that is meant.
    missing = isinstance(data, dict) and loc[-1] != "[key]" and path[-1:] != loc[-1:]
    return (*path, loc[-1]) if missing else path


def _has(data: Any, step: str | int) -> bool:
    return step in data if isinstance(data, dict) else isinstance(data, list) and step in range(len(data))


def _where(path: Path) -> str:
    return ".".join(str(step) for step in path) + ": " if path else ""


def _message(detail: ErrorDetails, path: Path) -> str:
    kind = detail["type"]
    given = detail["input"]
    context: dict[str, Any] = detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = keys_at(path[:-1])
        nearest = did_you_mean(str(path[-1]), known)
        return f"unknown key {str(path[-1])!r}" + (
            f"; the keys here are {', '.join(known)}." if nearest == "." else nearest
        )
    if kind == "missing":
        return "is missing; add it."
    if kind == "literal_error":
        return f"{given!r} is not known; write {context['expected']}" + did_you_mean(
            str(given), _words(context["expected"])
        )
    if kind == "string_pattern_mismatch":
        return f"{PATTERNS[context['pattern']]}."
    if kind in LIMITS:
        key, sentence = LIMITS[kind]
        return sentence.format(context[key]) + "."
    if kind in EXPECTED:
        return f"expected {EXPECTED[kind]}."
    return f"{detail['msg']}."


def _words(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").replace("'", "").split(", ")


def keys_at(path: Path) -> list[str]:
    """The keys that the format knows at this place."""
    annotation: Any = PersonasFile
    for step in path:
        annotation = _inside(annotation, step)
    model = _model(annotation)
    return list(model.model_fields) if model else []


def _model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (dict, list):
        return None
    return next((model for member in get_args(annotation) if (model := _model(member))), None)


def _inside(annotation: Any, step: str | int) -> Any:
    """The type of what stands at `step` inside a value of this type."""
    if model := _model(annotation):
        field = model.model_fields.get(str(step))
        return field.annotation if field else None
    container = get_origin(annotation)
    if container in (dict, list):
        return get_args(annotation)[-1]
    return next((inner for member in get_args(annotation) if (inner := _inside(member, step)) is not None), None)
