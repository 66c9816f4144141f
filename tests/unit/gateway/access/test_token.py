import re

import pytest

from gateway.access.token import Token


def test_token_has_id_256_bit_secret_and_checksum():
    assert re.fullmatch(r"ls_[0-9a-f]{12}_[0-9a-f]{64}_[0-9a-f]{8}", str(Token.generate()))


def test_tokens_are_unique():
    token, other = Token.generate(), Token.generate()
    assert token.id != other.id
    assert token.secret != other.secret


def test_token_parses_to_itself():
    token = Token.generate()
    assert Token.parse(str(token)) == token


@pytest.mark.parametrize("position", [3, 20, 80, -1])
def test_token_with_wrong_digit_is_refused(position):
    text = str(Token.generate())
    digit = "0" if text[position] != "0" else "1"
    at = position % len(text)
    assert Token.parse(text[:at] + digit + text[at + 1 :]) is None


@pytest.mark.parametrize("text", ["", "ls_", "ls__x", " ", "é" * 90, "a" * 10_000])
def test_malformed_token_is_refused(text):
    assert Token.parse(text) is None


def test_token_with_trailing_newline_is_refused():
    assert Token.parse(f"{Token.generate()}\n") is None


def test_digest_does_not_reveal_secret():
    token = Token.generate()
    assert len(token.digest()) == 64
    assert token.secret not in token.digest()
