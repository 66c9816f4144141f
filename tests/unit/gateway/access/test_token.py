import re

import pytest

from gateway.access.token import Token


def test_a_key_has_an_id_a_256_bit_secret_and_a_checksum():
    assert re.fullmatch(r"ls_[0-9a-f]{12}_[0-9a-f]{64}_[0-9a-f]{8}", str(Token.generate()))


def test_no_two_keys_are_alike():
    one, other = Token.generate(), Token.generate()
    assert one.id != other.id
    assert one.secret != other.secret


def test_a_key_is_read_as_it_was_written():
    token = Token.generate()
    assert Token.parse(str(token)) == token


@pytest.mark.parametrize("position", [3, 20, 80, -1])
def test_one_wrong_digit_is_no_key(position):
    text = str(Token.generate())
    digit = "0" if text[position] != "0" else "1"
    at = position % len(text)
    assert Token.parse(text[:at] + digit + text[at + 1 :]) is None


@pytest.mark.parametrize("text", ["", "ls_", "ls__x", " ", "é" * 90, "a" * 10_000])
def test_what_has_another_form_is_no_key(text):
    assert Token.parse(text) is None


def test_a_trailing_newline_is_not_overlooked():
    assert Token.parse(f"{Token.generate()}\n") is None


def test_the_stored_digest_does_not_hold_the_secret():
    token = Token.generate()
    assert len(token.digest()) == 64
    assert token.secret not in token.digest()
