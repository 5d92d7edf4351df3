import pickle

import msgspec
import pytest

from providers.errors import CredentialsRefused, NoKey, RateLimited, SpendLimitReached
from providers.upstream.keys import KeyPool, ProviderKey, Secret, origin_of

ORIGIN = "https://api.house.test:443"
CANARY = "sk-canary-5f1d7c"
A, B, C = Secret("sk-a"), Secret("sk-b"), Secret("sk-c")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pool_of(clock: Clock, *keys: Secret) -> KeyPool:
    pool = KeyPool("house", ORIGIN, key_env="HOUSE_API_KEY", now=clock)
    pool.replace([ProviderKey(key) for key in keys])
    return pool


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(CANARY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!s:>40}", repr(ProviderKey(secret)), repr([secret])]
    assert not [text for text in shown if CANARY in text]
    assert secret.reveal() == CANARY


def test_a_secret_cannot_be_written_down() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        msgspec.json.encode(ProviderKey(Secret(CANARY)))


@pytest.mark.parametrize("value", ["", "sk\n", "sk\r\nx-evil: 1", "sk a", "schlüssel", "sk\0"])
def test_what_would_break_a_header_is_no_key(value: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as caught:
        Secret(value)
    assert "evil" not in str(caught.value)


def test_equal_secrets_are_equal() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert len({Secret(CANARY), Secret(CANARY), A}) == 2
    assert Secret(CANARY) != CANARY


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://API.house.test/v1", "https://api.house.test:443"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080"),
        ("http://house.test", "http://house.test:80"),
        ("https://[::1]:9/v1", "https://[::1]:9"),
    ],
)
def test_an_origin_names_its_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin
    assert origin_of(origin) == origin


@pytest.mark.parametrize(
    "url", ["", "house.test", "file:///etc/passwd", "https://me:pw@house.test", "https://h.test/?key=x", "https://"]
)
def test_an_address_that_is_none_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="A provider's address") as caught:
        origin_of(url)
    assert "pw" not in str(caught.value)


def test_keys_take_turns(clock: Clock) -> None:
    pool = pool_of(clock, A, B, C)
    assert [pool.take() for _ in range(6)] == [A, B, C, A, B, C]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (RateLimited("slow"), 30),
        (RateLimited("slow", retry_after=7), 7),
        (RateLimited("slow", retry_after=999_999), 3600),
        (CredentialsRefused("no"), 600),
        (SpendLimitReached("empty"), 3600),
    ],
)
def test_a_blamed_key_rests(clock: Clock, error: RateLimited, seconds: float) -> None:
    pool = pool_of(clock, A, B)
    pool.rest(A, error)
    clock.now += seconds - 1
    assert {pool.take() for _ in range(4)} == {B}
    clock.now += 1
    assert {pool.take() for _ in range(4)} == {A, B}


def test_the_last_key_is_used_though_it_was_blamed(clock: Clock) -> None:
    pool = pool_of(clock, A)
    pool.rest(A, CredentialsRefused("no"))
    assert pool.take() == A
    assert not pool.has_rested_key()


def test_when_all_rest_the_one_that_rests_least_is_used(clock: Clock) -> None:
    pool = pool_of(clock, A, B, C)
    pool.rest(A, SpendLimitReached("empty"))
    pool.rest(B, RateLimited("slow", retry_after=5))
    pool.rest(C, CredentialsRefused("no"))
    assert {pool.take() for _ in range(4)} == {B}
    assert not pool.has_rested_key()
    clock.now += 600
    assert pool.has_rested_key()


def test_new_keys_come_in_and_those_that_stay_go_on_resting(clock: Clock) -> None:
    pool = pool_of(clock, A, B)
    pool.rest(A, CredentialsRefused("no"))
    pool.replace([ProviderKey(A), ProviderKey(C)])
    assert {pool.take() for _ in range(4)} == {C}
    clock.now += 600
    assert {pool.take() for _ in range(4)} == {A, C}


def test_a_key_that_came_back_is_fresh(clock: Clock) -> None:
    pool = pool_of(clock, A, B)
    pool.rest(A, CredentialsRefused("no"))
    pool.replace([ProviderKey(B)])
    pool.replace([ProviderKey(A), ProviderKey(B)])
    assert {pool.take() for _ in range(4)} == {A, B}


def test_blame_for_a_key_that_is_gone_is_forgotten(clock: Clock) -> None:
    pool = pool_of(clock, A)
    pool.replace([ProviderKey(B)])
    pool.rest(A, CredentialsRefused("no"))
    pool.replace([ProviderKey(A), ProviderKey(B)])
    assert {pool.take() for _ in range(4)} == {A, B}


def test_the_same_key_twice_is_one_key(clock: Clock) -> None:
    pool = pool_of(clock, A, Secret("sk-a"))
    pool.rest(A, RateLimited("slow"))
    assert not pool.has_rested_key()


def test_a_missing_key_says_how_to_add_one(clock: Clock) -> None:
    pool = pool_of(clock)
    with pytest.raises(NoKey, match=r"'house': add one with `gateway keys add house` or set HOUSE_API_KEY\."):
        pool.take()


def test_a_provider_without_a_variable_is_told_of_the_command_only(clock: Clock) -> None:
    missing = KeyPool("house", ORIGIN, now=clock).missing()
    assert missing is not None
    assert missing.message == "There is no key for 'house': add one with `gateway keys add house`."


def test_a_key_of_another_origin_is_never_used(clock: Clock) -> None:
    pool = pool_of(clock)
    pool.replace([ProviderKey(A, "https://api.elsewhere.test:443")])
    with pytest.raises(NoKey, match=r"belongs to another address .* add it again with `gateway keys add house`"):
        pool.take()
    pool.replace([ProviderKey(A, "https://api.elsewhere.test"), ProviderKey(B, "https://api.house.test")])
    assert {pool.take() for _ in range(4)} == {B}


@pytest.mark.parametrize("origin", ["http://api.house.test:443", "https://api.house.test:8443", "https://house.test"])
def test_scheme_host_and_port_all_belong_to_the_origin(clock: Clock, origin: str) -> None:
    pool = pool_of(clock)
    pool.replace([ProviderKey(A, origin)])
    assert pool.missing() is not None


def test_a_pool_that_needs_no_key_goes_without_one(clock: Clock) -> None:
    pool = KeyPool("house", ORIGIN, required=False, now=clock)
    assert pool.take() is None
    pool.replace([ProviderKey(A)])
    assert pool.take() == A
    pool.replace([ProviderKey(A, "https://elsewhere.test")])
    with pytest.raises(NoKey):  # whoever stored a key wants it used: going without it would say otherwise
        pool.take()
