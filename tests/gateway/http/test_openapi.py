"""The OpenAPI document says what the gateway does: schemathesis drives every operation with good and bad input."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from builders import PASSWORD, serve_gateway, write_personas
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.settings import Settings
from providers.scripted.server import ScriptedUpstream


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway in a thread of its own, since schemathesis is not asynchronous; its address."""
    folder = tmp_path_factory.mktemp("openapi")
    ready, done = threading.Event(), threading.Event()
    address: list[str] = []

    async def serve(upstream: ScriptedUpstream) -> None:
        settings = Settings(
            data_dir=folder,
            personas=write_personas(folder, upstream.base_url, upstream.url),
            turns_per_minute=100_000,
            writes_per_minute=100_000,
            concurrent_turns=100,
        )
        async with serve_gateway(settings) as gateway:
            address.append(gateway.url)
            ready.set()
            await asyncio.to_thread(done.wait)

    with ScriptedUpstream() as upstream:
        thread = threading.Thread(target=lambda: asyncio.run(serve(upstream)))
        thread.start()
        assert ready.wait(20)
        yield address[0]
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def token(served: str) -> str:
    body = {"username": "root", "email": "root@example.org", "password": PASSWORD}
    return str(httpx.post(f"{served}/api/auth/signup", json=body).json()["token"])


NOBODY = "01890000-0000-7000-8000-000000000000"
LEFT_OUT = {("POST", "/api/auth/logout"), ("DELETE", "/api/me"), ("DELETE", "/api/auth/sessions/{session_id}")}
"""They would end the test's own login."""


def test_every_operation_keeps_its_word(served: str, token: str) -> None:
    document = schemathesis.openapi.from_url(f"{served}/openapi.json")
    operations = [result.ok() for result in document.get_all_operations()]
    driven = [operation for operation in operations if (operation.method.upper(), operation.path) not in LEFT_OUT]
    assert len(driven) > 35
    for operation in driven:
        _drive(operation, token)


def test_every_operation_but_the_public_ones_needs_somebody(served: str) -> None:
    document = httpx.get(f"{served}/openapi.json").json()
    public = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            address = path.format(
                **dict.fromkeys(
                    (
                        "user_id",
                        "chat_id",
                        "turn_id",
                        "session_id",
                        "token_id",
                        "thread_id",
                        "conversation_id",
                        "message_id",
                    ),
                    NOBODY,
                ),
                persona_id="mia",
                emoji="x",
            )
            answer = httpx.request(method, served + address, headers={"x-forwarded-for": "203.0.113.9"})
            if operation.get("security") == []:
                public.add(f"{method} {path}")
                assert answer.status_code != 401
            else:
                assert answer.status_code == 401, (method, path, answer.text)
    assert public == {"get /api/setup", "post /api/auth/signup", "post /api/auth/login", "get /healthz", "get /readyz"}


def test_every_list_that_is_asked_has_an_end(served: str) -> None:
    document = httpx.get(f"{served}/openapi.json").json()
    asked = []
    for operations in document["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                asked.append(operation["requestBody"]["content"]["application/json"]["schema"])
    lists = [found for schema in asked for found in _lists_of(schema, document)]
    assert len(lists) >= 3
    assert [found for found in lists if "maxItems" not in found] == []


def _lists_of(schema: dict[str, Any], document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every array in a schema, followed through its references."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if schema.get("type") == "array":
        yield schema
    outer = {name: value for name, value in schema.items() if name == "maxItems"}  # what may be absent has it there
    for part in (*schema.get("properties", {}).values(), *schema.get("oneOf", [])):
        yield from _lists_of({**part, **outer}, document)


def _drive(operation: schemathesis.schemas.APIOperation, token: str) -> None:
    @hypothesis.settings(
        max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(case=operation.as_strategy())
    def drive(case: schemathesis.Case) -> None:
        case.call_and_validate(
            headers={"authorization": f"Bearer {token}", "accept": "application/json"},
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
            timeout=20,
        )

    drive()


def test_the_page_of_the_document_loads_nothing_from_elsewhere(served: str) -> None:
    page = httpx.get(f"{served}/docs").text
    for attribute in ("src=", "href="):
        for part in page.split(attribute)[1:]:
            assert part[1:].startswith(("/docs-assets/", "data:")), part[:60]
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "swagger-ui-standalone-preset.js"):
        assert httpx.get(f"{served}/docs-assets/{name}").status_code == 200
