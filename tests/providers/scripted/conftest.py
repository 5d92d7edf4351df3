"""The scripted upstream, asked over both wires."""

from collections.abc import Iterator

import httpx
import pytest
from wire_asker import WIRES, Asker

from providers.scripted.server import ScriptedUpstream


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, verify=False, timeout=30) as client:
        yield client


@pytest.fixture(params=WIRES)
def asker(request: pytest.FixtureRequest, scripted_upstream: ScriptedUpstream, client: httpx.Client) -> Asker:
    return Asker(scripted_upstream, request.param, client)
