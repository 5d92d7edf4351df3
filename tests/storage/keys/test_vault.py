"""What the vault seals opens in its own place, with its own master key, unchanged, and not otherwise."""

import hashlib
from itertools import permutations
from uuid import UUID

import msgspec
import pytest

from storage.errors import WrongKey
from storage.keys.vault import Place, Vault, master_id

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
VALUE = "sk-a-key-that-nobody-may-see"
PLACE = Place(purpose="provider-key", row=UUID(int=7), field="envelope", origin="https://api.example:443")
ELSEWHERE = {
    "row": UUID(int=8),
    "purpose": "webhook",
    "field": "fingerprint",
    "origin": "https://api.example:8443",
}


@pytest.fixture
def vault() -> Vault:
    return Vault([OLD])


def test_a_value_comes_back(vault: Vault) -> None:
    for value in ("", VALUE, "naïve 🙂", "x" * 4096):
        assert vault.open(vault.seal(value, PLACE), PLACE) == value


def test_the_envelope_shows_neither_the_value_nor_the_master_key_and_is_never_the_same(vault: Vault) -> None:
    envelopes = {vault.seal(VALUE, PLACE) for _ in range(50)}
    assert len(envelopes) == 50
    assert len({envelope.rpartition(".")[2][:16] for envelope in envelopes}) == 50  # nonces
    for envelope in envelopes:
        assert envelope.startswith(f"gwe1.{master_id(OLD)}.")
        assert VALUE not in envelope


def test_the_id_of_a_master_key_is_a_hash_and_not_a_piece_of_it() -> None:
    assert master_id(OLD) != master_id(NEW)
    assert master_id(OLD) not in OLD.hex()
    assert master_id(OLD) not in hashlib.sha256(OLD).hexdigest()


@pytest.mark.parametrize("part", ELSEWHERE)
def test_a_value_opens_nowhere_else(vault: Vault, part: str) -> None:
    envelope = vault.seal(VALUE, PLACE)
    elsewhere = msgspec.structs.replace(PLACE, **{part: ELSEWHERE[part]})
    with pytest.raises(WrongKey):
        vault.open(envelope, elsewhere)
    with pytest.raises(WrongKey):
        Vault([NEW, OLD]).rewrap(envelope, elsewhere)


@pytest.mark.parametrize("origin", ["http://api.example:443", "https://api.example", "https://api.example.org:443", ""])
def test_a_value_is_for_one_scheme_host_and_port(vault: Vault, origin: str) -> None:
    with pytest.raises(WrongKey):
        vault.open(vault.seal(VALUE, PLACE), msgspec.structs.replace(PLACE, origin=origin))


def test_parts_of_a_place_cannot_be_shifted_into_each_other() -> None:
    one = Place(purpose="a", row=UUID(int=1), field="bc", origin="d")
    other = Place(purpose="a", row=UUID(int=1), field="b", origin="cd")
    assert one.bound() != other.bound()


def test_no_envelope_opens_in_the_place_of_another(vault: Vault) -> None:
    places = [
        msgspec.structs.replace(PLACE, row=UUID(int=row), origin=origin)
        for row in range(4)
        for origin in ("https://a.example:443", "https://b.example:443")
    ]
    sealed = {place: vault.seal(VALUE, place) for place in places}
    for one, other in permutations(places, 2):
        with pytest.raises(WrongKey):
            vault.open(sealed[one], other)


def test_no_half_of_an_envelope_opens_with_the_half_of_another(vault: Vault) -> None:
    one, other = (vault.seal(VALUE, PLACE).split(".") for _ in range(2))
    for mixed in ([*one[:3], other[3]], [*one[:2], other[2], one[3]]):
        with pytest.raises(WrongKey):
            vault.open(".".join(mixed), PLACE)


@pytest.mark.parametrize("length", [0, 8, 9, 10])
def test_no_bit_of_an_envelope_may_change(vault: Vault, length: int) -> None:
    """Lengths of every remainder by 3: base64 spells some bytes in more than one way."""
    envelope = vault.seal("x" * length, PLACE).encode()
    for place in range(len(envelope)):
        for bit in range(8):
            changed = bytearray(envelope)
            changed[place] ^= 1 << bit
            with pytest.raises(WrongKey):
                vault.open(changed.decode("latin-1"), PLACE)


def test_no_envelope_cut_short_or_made_longer_opens(vault: Vault) -> None:
    envelope = vault.seal(VALUE, PLACE)
    for length in range(len(envelope)):
        with pytest.raises(WrongKey):
            vault.open(envelope[:length], PLACE)
    for more in ("A", "=", "\n", " ", ".", "AAAA"):
        with pytest.raises(WrongKey):
            vault.open(envelope + more, PLACE)


def test_any_master_key_opens_and_the_first_one_seals() -> None:
    both = Vault([NEW, OLD])
    envelope = Vault([OLD]).seal(VALUE, PLACE)
    assert both.open(envelope, PLACE) == VALUE
    assert both.seal(VALUE, PLACE).split(".")[1] == both.primary == master_id(NEW)
    with pytest.raises(WrongKey, match="not at hand"):
        Vault([NEW]).open(envelope, PLACE)


def test_a_rewrap_changes_the_wrapping_and_not_the_sealed_value() -> None:
    envelope = Vault([OLD]).seal(VALUE, PLACE)
    rewrapped = Vault([NEW, OLD]).rewrap(envelope, PLACE)
    assert rewrapped.split(".")[3] == envelope.split(".")[3]
    assert Vault([NEW]).open(rewrapped, PLACE) == VALUE
    with pytest.raises(WrongKey):
        Vault([OLD]).open(rewrapped, PLACE)
    assert Vault([NEW, OLD]).rewrap(rewrapped, PLACE) == rewrapped


def test_fingerprints_tell_values_and_master_keys_apart() -> None:
    old, both = Vault([OLD]), Vault([NEW, OLD])
    assert old.fingerprint(VALUE) == old.fingerprint(VALUE)
    assert old.fingerprint(VALUE) != old.fingerprint(VALUE + "x")
    assert old.fingerprint(VALUE) != both.fingerprint(VALUE)
    assert both.fingerprint(VALUE, old.primary) == old.fingerprint(VALUE)
    assert old.fingerprint(VALUE) not in hashlib.sha256(VALUE.encode()).hexdigest()


@pytest.mark.parametrize("keys", [[], [b"short"], [OLD, b"x" * 33]])
def test_a_vault_takes_keys_of_32_bytes_only(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(keys)
