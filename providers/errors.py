"""Everything that can go wrong between us and a model provider.

    ProviderError
    ├── NoKey                  no key is stored or set for the provider
    ├── CredentialsRefused     401, 403
    ├── RateLimited            429
    ├── SpendLimitReached      402, or a 429 that says the account is used up
    ├── Overloaded             503, 529
    ├── UpstreamUnavailable    5xx, connection refused or lost before the first content
    ├── UpstreamTimeout        one of the four clocks ran out
    ├── RequestRefused         400, 404, 413, 422: this request will not be answered
    │   └── ContextTooLong     the provider counts more tokens than its window
    ├── ContentFiltered        the provider refused the prompt for its content
    ├── ProtocolError          the answer breaks the wire's rules
    │   ├── EmptyCompletion    a well-formed answer without any content
    │   └── ResponseTooLarge   a line or a response over our caps
    └── LocalModelUnavailable  the local model could not be started

Messages are written by us from allow-listed fields (status, the provider's error code, its request id): never from
an exception's text, a URL or a body, which may hold a key.
"""


class ProviderError(Exception):
    """A call to a provider that did not end in a reply.

    `code` is stable, for programs; the message is a sentence for people. `retry_after` is in seconds.
    """

    code = "upstream-error"
    retryable = False
    """Whether the same request to the same provider may succeed in a moment (before the first content only)."""
    falls_back = True
    """Whether another model may answer instead."""
    blames_key = False
    """Whether the key that was used should rest."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        provider_code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.provider_code = provider_code
        self.request_id = request_id
        self.retry_after = retry_after


class NoKey(ProviderError):
    """No key is stored for the provider, and its environment variable is not set."""

    code = "provider-key-missing"


class CredentialsRefused(ProviderError):
    """The provider does not accept our key."""

    code = "upstream-credentials"
    blames_key = True


class RateLimited(ProviderError):
    """The provider asks us to slow down."""

    code = "upstream-rate-limited"
    retryable = True
    blames_key = True


class SpendLimitReached(ProviderError):
    """The account behind the key is used up: waiting does not help, another key may."""

    code = "upstream-spend-limit"
    blames_key = True


class Overloaded(ProviderError):
    """The provider has too much to do."""

    code = "upstream-overloaded"
    retryable = True


class UpstreamUnavailable(ProviderError):
    """The provider could not be reached, or failed on its side."""

    code = "upstream-unavailable"
    retryable = True


class UpstreamTimeout(ProviderError):
    """One of the four clocks (connect, first token, idle, total) ran out."""

    code = "upstream-timeout"
    retryable = True


class RequestRefused(ProviderError):
    """The provider will not answer this request, however often it is sent."""

    code = "upstream-refused"


class ContextTooLong(RequestRefused):
    """The provider counts more tokens than its window holds."""

    code = "upstream-context-too-long"


class ContentFiltered(ProviderError):
    """The provider refused the prompt for its content; the turn ends `filtered`."""

    code = "upstream-filtered"
    falls_back = False


class ProtocolError(ProviderError):
    """The provider's answer breaks the rules of its wire."""

    code = "upstream-protocol"


class EmptyCompletion(ProtocolError):
    """A well-formed answer without any content."""

    code = "upstream-empty"
    retryable = True


class ResponseTooLarge(ProtocolError):
    """A line or a response over our caps."""

    code = "upstream-too-large"


class LocalModelUnavailable(ProviderError):
    """The local model is not installed, or did not start."""

    code = "local-model-unavailable"
