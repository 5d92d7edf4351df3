"""The catalog: all that personas.yaml declares, checked and resolved, as one immutable value."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from personas.errors import PersonaFileError, Problem, UnknownPersona
from personas.loading.build import build
from personas.loading.checks import completeness_problems, size_problems, warnings
from personas.loading.document import Document, parse_document
from personas.loading.references import reference_problems
from personas.loading.resolve import Resolved, resolve_all
from personas.loading.sources import ReadFile, Sources, Unreadable
from personas.loading.texts import KEY_LIKE, include_files, macro_problems, plain_text_problems, secret_problems
from personas.loading.validation import format_problems
from personas.persona import Persona
from providers.models import Model, ProviderSpec

LONGEST_MESSAGE = 600
"""Characters of a problem: what an operator wrote, and a message quotes, may be any length."""


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator declared. `digest` changes when anything in it does; abstract personas are left out.

    `files` holds each file that was read, as it was then.
    """

    providers: Mapping[str, ProviderSpec]
    models: Mapping[str, Model]
    personas: Mapping[str, Persona]
    warnings: tuple[Problem, ...]
    digest: str
    files: Mapping[str, ReadFile]

    def get(self, persona_id: str) -> Persona:
        """The persona with this id. Raises UnknownPersona, which names the nearest one."""
        try:
            return self.personas[persona_id]
        except KeyError:
            raise UnknownPersona(persona_id, self.personas) from None


class CheckedDocument(msgspec.Struct, frozen=True):
    """A file without mistakes, before it becomes a catalog: for commands that show where a value was said."""

    document: Document
    resolved: Mapping[str, Resolved]
    catalog: Catalog


def load_catalog(path: str | Path) -> Catalog:
    """The catalog of a file. Blocks for tens of milliseconds; raises PersonaFileError with every mistake in it."""
    return load_document(path).catalog


def load_document(path: str | Path) -> CheckedDocument:
    """The catalog with the document it was made of. Raises PersonaFileError with every mistake in the file."""
    sources = Sources(Path(path))
    try:
        text = sources.read_document()
    except Unreadable as error:
        raise PersonaFileError((Problem(str(path), 1, 1, f"cannot be used: {error}."),), sources.files) from None
    document, problems = parse_document(str(path), text)
    if document is None:
        raise _file_error(problems, sources)
    problems += format_problems(document)
    problems += include_files(document, sources)
    problems += reference_problems(document)
    problems += plain_text_problems(document)
    problems += secret_problems(document)
    resolved, inheritance = resolve_all(document)
    problems += inheritance
    problems += macro_problems(document, resolved)
    problems += completeness_problems(document, resolved)
    _raise_if_any(problems, sources)

    declared = build(document, resolved)
    _raise_if_any(list(size_problems(document, declared.personas)), sources)
    content = [declared.providers, declared.models, {name: one.digest for name, one in declared.personas.items()}]
    catalog = Catalog(
        providers=MappingProxyType(declared.providers),
        models=MappingProxyType(declared.models),
        personas=MappingProxyType(declared.personas),
        warnings=tuple(sorted(warnings(document, declared.personas))),
        digest=hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest(),
        files=MappingProxyType(sources.files),
    )
    return CheckedDocument(document, resolved, catalog)


def _raise_if_any(problems: list[Problem], sources: Sources) -> None:
    if problems:
        raise _file_error(problems, sources)


def _file_error(problems: list[Problem], sources: Sources) -> PersonaFileError:
    told = {msgspec.structs.replace(problem, message=_presentable(problem.message)) for problem in problems}
    return PersonaFileError(tuple(sorted(told)), sources.files)


def _presentable(message: str) -> str:
    """The message on one line of a bearable length, without the keys that slipped into what it quotes."""
    message = "".join(char if char.isprintable() else "\ufffd" for char in KEY_LIKE.sub("***", message))
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[: LONGEST_MESSAGE // 2]} ... {message[-LONGEST_MESSAGE // 2 :]}"
