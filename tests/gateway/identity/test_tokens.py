"""The form of tokens: typed, checked, and nothing to guess."""

import re

import pytest

from gateway.identity.tokens import (
    TokenKind,
    display_of,
    hash_setup_code,
    hash_token,
    kind_of,
    new_setup_code,
    new_token,
)


@pytest.mark.parametrize(("kind", "prefix"), [(TokenKind.login, "gw_ses_"), (TokenKind.access, "gw_pat_")])
def test_a_token_says_what_it_is_for(kind: TokenKind, prefix: str) -> None:
    token = new_token(kind)
    assert re.fullmatch(rf"{prefix}[0-9A-Za-z]{{49}}", token)
    assert kind_of(token) is kind
    assert display_of(token) == token[:11]


def test_a_changed_character_anywhere_is_noticed() -> None:
    token = new_token(TokenKind.access)
    for place in range(len(token)):
        changed = token[:place] + ("x" if token[place] != "x" else "y") + token[place + 1 :]
        assert kind_of(changed) is None


@pytest.mark.parametrize("token", ["", "gw_pat_", "x" * 56, "gw_pat_" + "\u00e9" * 49, "gw_abc_" + "0" * 49])
def test_other_text_is_no_token(token: str) -> None:
    assert kind_of(token) is None


def test_a_login_token_does_not_pass_for_an_access_token() -> None:
    token = new_token(TokenKind.login)
    assert kind_of(token.replace("ses", "pat")) is None


def test_tokens_do_not_repeat() -> None:
    assert len({new_token(TokenKind.login) for _ in range(2000)}) == 2000


def test_the_stored_hash_is_a_digest_of_the_whole_token() -> None:
    token = new_token(TokenKind.login)
    assert len(hash_token(token)) == 32
    assert hash_token(token) != hash_token(token[:-1])


def test_a_setup_code_may_be_typed_carelessly() -> None:
    code = new_setup_code()
    assert re.fullmatch(r"([A-HJKMNP-Z2-9]{4}-){3}[A-HJKMNP-Z2-9]{4}", code)
    assert hash_setup_code(code.lower().replace("-", " ")) == hash_setup_code(code)
    assert hash_setup_code(code[:-1]) != hash_setup_code(code)
