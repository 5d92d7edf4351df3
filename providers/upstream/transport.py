"""The one HTTP client towards model providers: posts bytes, hands over the bytes that have arrived.

aiohttp, since it passes on all of a read at once, at a quarter of what other clients cost. It follows no redirect,
keeps no cookie, reads no proxy or netrc from the environment and unpacks nothing: a key goes to the address it was
posted to and nowhere else, and a response is as large as it looks.
"""

import asyncio
import contextlib
import math
import ssl
from collections.abc import Mapping

import aiohttp

from providers.errors import ProtocolError, ProviderError, UpstreamUnavailable
from providers.upstream.clocks import Clocks, timed_out

MAX_ERROR_BODY = 64 * 1024
"""Bytes that are read of a response which is no stream."""

_FAILURES: tuple[tuple[type[Exception], type[ProviderError], str], ...] = (
    # The first row that fits decides. No sentence quotes the exception: it may hold a URL or a header.
    (aiohttp.ClientConnectorDNSError, UpstreamUnavailable, "The provider's host name cannot be resolved."),
    (aiohttp.ClientConnectorError, UpstreamUnavailable, "The provider's server cannot be reached."),
    (aiohttp.ServerDisconnectedError, UpstreamUnavailable, "The provider closed the connection without an answer."),
    (aiohttp.ClientPayloadError, UpstreamUnavailable, "The provider's answer broke off."),
    (aiohttp.ClientResponseError, ProtocolError, "The provider's answer is not HTTP."),
    (aiohttp.InvalidURL, ProtocolError, "The provider's address is not a valid URL."),
)

_UNTRUSTED = (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError, ssl.SSLError)


def translated(error: Exception) -> ProviderError:
    """What an exception of the HTTP client means, told in a sentence of our own."""
    if isinstance(error, _UNTRUSTED):
        untrusted = UpstreamUnavailable("No trusted TLS connection to the provider's server could be made.")
        untrusted.retryable = False  # a certificate does not mend itself within seconds
        return untrusted
    for kind, meaning, sentence in _FAILURES:
        if isinstance(error, kind):
            return meaning(sentence)
    return UpstreamUnavailable("The connection to the provider was lost.")


class Response:
    """One response, of which the status and the headers have arrived."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._content = response.content

    async def read(self) -> bytes:
        """All bytes that have arrived, at least one; none at the end. Raises `ProviderError`."""
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp forgets what it had received when the connection breaks; what a model said is kept.
            received = self._content._read_nowait(-1)
            failure = translated(error)
        if received:
            return received
        raise failure

    async def read_error(self) -> bytes:
        """What can be had of the body of a response that is no stream, at most `MAX_ERROR_BODY` bytes."""
        body = bytearray()
        with contextlib.suppress(ProviderError):  # the status has arrived, and says enough
            while len(body) < MAX_ERROR_BODY and (data := await self.read()):
                body += data
        return bytes(body[:MAX_ERROR_BODY])

    def close(self) -> None:
        """Hang up at once, unless the response was read to its end: then the connection is kept for the next."""
        self._response.close()


class Transport:
    """The shared client session. Belongs to the event loop that `start` was called in.

    `limit` is the number of connections at once; 0 is no limit. `tls` replaces the system's trusted certificates.
    """

    def __init__(self, *, limit: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._limit = limit
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def start(self) -> None:
        """Make the session."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._limit, ssl=self._tls or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"accept-encoding": "identity", "user-agent": "persona-chat-gateway"},
        )

    async def aclose(self) -> None:
        """Close the session and all of its connections."""
        if self._session is not None:
            await self._session.close()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, clocks: Clocks, *, end: float = math.inf
    ) -> Response:
        """Post and wait for the status and the headers, until the first-token clock or `end` (loop time).

        Raises `ProviderError`. The response must be closed.
        """
        if self._session is None:
            raise RuntimeError("The transport was not started.")
        now = asyncio.get_running_loop().time()
        scope = asyncio.timeout_at(min(now + clocks.first_token, end))
        try:
            async with scope:
                response = await self._session.post(
                    url, data=body, headers=headers, allow_redirects=False, timeout=self._timeout(clocks.connect)
                )
                return Response(response)
        except aiohttp.ConnectionTimeoutError:
            failure: ProviderError = timed_out("connect", clocks.connect)
        except (aiohttp.ClientError, OSError) as error:
            if not scope.expired():
                failure = translated(error)
            elif now + clocks.first_token < end:
                failure = timed_out("first token", clocks.first_token)
            else:
                failure = timed_out("total", clocks.total)
        raise failure  # outside of the handler: as its context, aiohttp's exception would carry the request's headers

    def _timeout(self, connect: float) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(connect)
        if timeout is None:
            timeout = self._timeouts[connect] = aiohttp.ClientTimeout(total=None, connect=connect)
        return timeout
