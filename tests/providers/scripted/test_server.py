"""What the scripted upstream keeps of its clients, and what it does not answer."""

import socket
from contextlib import suppress

import httpx
import pytest
from waiting import wait_until
from wire_asker import Asker

from providers.scripted.faults import FAULTS
from providers.scripted.script import Script
from providers.scripted.server import ScriptedUpstream


def test_requests_are_recorded(asker: Asker) -> None:
    asker.ask("Hello", said="Good evening")
    (request,) = asker.upstream.requests
    assert (request.method, request.path) == ("POST", httpx.URL(asker.url).path)
    assert request.json["messages"] == [{"role": "user", "content": "Good evening"}]
    assert (request.key, request.headers["content-type"]) == ("sk-test", "application/json")
    wait_until(lambda: request.ended is not None)
    assert request.ended is not None
    assert request.ended >= request.received
    assert not request.abandoned


def test_a_client_that_leaves_is_seen_at_once(asker: Asker) -> None:
    asker.upstream.enqueue(Script(reply=("a",) * 1000, gap=0.1))
    body, headers = asker.request()
    with asker.client.stream("POST", asker.url, content=body, headers=headers) as response:
        reads = response.iter_raw()  # kept: httpx hangs up when the iterator is collected
        next(reads)
        assert (asker.upstream.open_connections, asker.upstream.running) == (1, 1)
    wait_until(lambda: asker.upstream.open_connections == 0 and asker.upstream.running == 0)
    (request,) = asker.upstream.requests
    assert request.abandoned  # and it was not sent to its end, which takes longer than is waited for


def test_a_client_that_leaves_before_it_was_answered_is_seen(scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(FAULTS["silent-before-headers"])
    address = httpx.URL(scripted_upstream.url)
    with socket.create_connection((address.host, address.port or 0), timeout=30) as connection:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
    wait_until(lambda: scripted_upstream.requests and scripted_upstream.requests[0].abandoned)


def test_connections_are_kept_for_the_next_request(asker: Asker) -> None:
    for _ in range(3):
        asker.ask("Hello")
    assert (asker.upstream.open_connections, len(asker.upstream.requests)) == (1, 3)


def test_the_key_is_echoed_where_a_script_says_so(asker: Asker) -> None:
    asker.upstream.enqueue(FAULTS["key-echoed"])
    body, headers = asker.request()
    assert "sk-test" in asker.client.post(asker.url, content=body, headers=headers).text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model":5}'])
def test_a_body_that_is_no_request_is_refused(asker: Asker, body: bytes) -> None:
    response = asker.client.post(asker.url, content=body)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


def test_other_paths(scripted_upstream: ScriptedUpstream, client: httpx.Client) -> None:
    url = scripted_upstream.url
    assert client.get(f"{url}/v1/models").json()["data"][0]["id"] == "scripted"
    assert client.post(f"{url}/v1/messages/count_tokens", json={"messages": []}).json()["input_tokens"] > 0
    assert client.get(f"{url}/v2/nothing").status_code == 404
    assert client.get(f"{url}/v1/messages").status_code == 404


def test_what_is_not_http_is_hung_up_on(scripted_upstream: ScriptedUpstream) -> None:
    address = httpx.URL(scripted_upstream.url)
    with socket.create_connection((address.host, address.port or 0), timeout=30) as connection:
        connection.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_a_stopped_upstream_can_no_longer_be_reached(client: httpx.Client) -> None:
    with ScriptedUpstream() as upstream:
        upstream.enqueue(FAULTS["silent-before-headers"])
        client.get(f"{upstream.url}/v1/models")
    with pytest.raises(httpx.TransportError):
        client.get(f"{upstream.url}/v1/models")
