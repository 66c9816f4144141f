import pytest

from pipeline.errors import Unauthorized
from serve_app.tokens import VARIABLE, TokenError, Tokens

OLD, NEW = "o" * 32, "n" * 32


def test_tokens_are_read_from_file(tmp_path, monkeypatch):
    (tmp_path / "tokens").write_text(f"{OLD}, {NEW}\n")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(f"{VARIABLE}_FILE", str(tmp_path / "tokens"))
    tokens = Tokens.from_environment()
    tokens.check(f"Bearer {OLD}")
    tokens.check(f"Bearer {NEW}")
    with pytest.raises(Unauthorized):
        tokens.check(f"Bearer {OLD}, {NEW}")


def test_error_of_token_file_names_variable(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(f"{VARIABLE}_FILE", str(tmp_path / "none"))
    with pytest.raises(TokenError, match=f"^{VARIABLE}_FILE: .*No such file"):
        Tokens.from_environment()
    monkeypatch.setenv(VARIABLE, OLD)
    with pytest.raises(TokenError, match=f"^{VARIABLE}_FILE: {VARIABLE} is set as well"):
        Tokens.from_environment()


def test_short_token_of_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "tokens").write_text(f"{OLD},short")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(f"{VARIABLE}_FILE", str(tmp_path / "tokens"))
    with pytest.raises(TokenError, match=r"32 characters") as refusal:
        Tokens.from_environment()
    assert "short" not in str(refusal.value)
