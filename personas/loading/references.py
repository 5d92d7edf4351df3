"""Checks across entries: names that must exist, and values that must agree with each other."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from personas.errors import Problem, did_you_mean
from personas.loading.document import Document, Path
from personas.loading.raw import elements, entries, get, items, leaves, named, strings
from personas.loading.schema import WEB_ADDRESS

OWNED = frozenset(
    {
        *("model", "messages", "system", "input", "stream", "stream_options", "max_tokens", "max_completion_tokens"),
        *("temperature", "top_p", "stop", "stop_sequences", "seed", "presence_penalty", "frequency_penalty"),
        *("reasoning_effort", "api_key", "n"),
    }
)
"""Fields of a request that `params.extra` may not set, since the gateway does."""

ADDRESSES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
"""Examples of addresses that end where they should."""

WIRE_PATHS = {
    "openai": ("/chat/completions", "/completions", "/responses"),
    "openai-compatible": ("/chat/completions", "/completions", "/responses"),
    "anthropic": ("/v1", "/messages"),
}


def reference_problems(document: Document) -> Iterator[Problem]:
    """Everything that is wrong between entries."""
    yield from _missing_values(document)
    yield from _providers(document)
    yield from _models(document)
    yield from _lorebooks(document)
    for at, entry in entries(document.data):
        for key in ("model", "stand_in"):
            yield from _unknown(document, (*at, key), get(entry, key), "models")
        for key, section in (("fallbacks", "models"), ("lorebooks", "lorebooks")):
            for index, name in enumerate(elements(get(entry, key))):
                yield from _unknown(document, (*at, key, index), name, section)
        for field in items(get(get(entry, "params"), "extra")):
            if field[0] in OWNED:
                message = f"{field[0]!r} is set by the gateway; use the key of params, or remove it."
                yield document.problem((*at, "params", "extra", field[0]), message, key=True)


def _missing_values(document: Document) -> Iterator[Problem]:
    for path, value in leaves(document.data):
        if value is None and document.says_nothing(path) and not _is_free(path):
            yield document.problem(path, f"{path[-1]!r} has no value; give it one, or remove it.", key=True)


def _is_free(path: Path) -> bool:
    """Whether a value may be null: it is part of a note, or goes into requests as it stands."""
    entry = path[{"defaults": 1, "personas": 2}.get(str(path[0]), len(path)) :]
    in_note = any(str(step).startswith("x-") for step in (*path[:1], *entry[:1]))
    return in_note or (entry[:2] == ("params", "extra") and len(entry) > 2)


def _unknown(document: Document, path: Path, name: Any, section: str) -> Iterator[Problem]:
    known = [key for key, _ in items(document.data.get(section))]
    if isinstance(name, str) and name not in known:
        yield document.problem(path, f"there is no {section[:-1]} {name!r}{did_you_mean(name, known)}")


def _providers(document: Document) -> Iterator[Problem]:
    for at, entry in named(document.data, "providers"):
        kind, address, key_env = get(entry, "kind"), get(entry, "base_url"), get(entry, "key_env")
        if kind == "openai-compatible" and "base_url" not in entry:
            yield document.problem(at, "an openai-compatible provider needs 'base_url'; add it.", key=True)
        for key in ("base_url", "key_env"):
            if kind in ("local", "echo") and key in entry:
                yield document.problem((*at, key), f"a provider of kind {kind!r} has no {key!r}; remove it.", key=True)
        if kind != "anthropic" and get(entry, "version") is not None:
            yield document.problem((*at, "version"), "only anthropic has a version; remove it.", key=True)
        if isinstance(address, str) and address.rstrip("/").endswith(WIRE_PATHS.get(str(kind), ())):
            example = ADDRESSES.get(str(kind), "http://127.0.0.1:8000/v1")
            message = f"the address must end before the path of the wire, as in {example}."
            yield document.problem((*at, "base_url"), message)
        if isinstance(address, str) and re.search(WEB_ADDRESS, address) and not _can_be_asked(address):
            message = "the address has a host or a port that cannot be; write it as in http://127.0.0.1:8000/v1."
            yield document.problem((*at, "base_url"), message)
        if isinstance(key_env, str) and key_env.startswith("GATEWAY_"):
            message = "variables named GATEWAY_* are the gateway's own; name another."
            yield document.problem((*at, "key_env"), message)


def _can_be_asked(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").encode("idna")  # as the resolver does, which raises for 'a..b'
        return bool(host) and parts.port != 0
    except ValueError:
        return False


def _models(document: Document) -> Iterator[Problem]:
    for at, entry in named(document.data, "models"):
        yield from _unknown(document, (*at, "provider"), get(entry, "provider"), "providers")
        window, output = get(entry, "window"), get(entry, "max_output")
        if isinstance(window, int) and isinstance(output, int) and output >= window:
            message = f"{output} leaves nothing of the window of {window} for the prompt; make it smaller."
            yield document.problem((*at, "max_output"), message)


def _lorebooks(document: Document) -> Iterator[Problem]:
    for at, book in named(document.data, "lorebooks"):
        ids: list[str] = []
        for index, item in enumerate(elements(get(book, "entries"))):
            place = (*at, "entries", index)
            always, keys, id_ = get(item, "always"), strings(get(item, "keys")), get(item, "id")
            if isinstance(id_, str) and id_ in ids:
                yield document.problem((*place, "id"), f"another entry is called {id_!r} too; choose another id.")
            ids.append(str(id_))
            if isinstance(item, dict) and not keys and always is not True:
                yield document.problem(place, "would never be sent; give it 'keys', or 'always: true'.")
            if keys and always is True:
                yield document.problem((*place, "keys"), "an entry that is always sent has no keys; remove them.")
            if isinstance(content := get(item, "content"), str) and not content.strip():
                yield document.problem((*place, "content"), "the content is empty; write some, or remove the entry.")
