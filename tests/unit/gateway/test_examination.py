from datetime import UTC, datetime, timedelta

import pytest

from gateway.examination import KEY_LENGTH, WINDOW_S, examination_of
from pipeline.errors import BadRequest

AT = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


def named(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"X-Examination-Id", value.encode())]


def test_images_with_one_id_are_one_examination_at_any_time():
    first = examination_of(named("study-7"), "key:a", AT)
    assert examination_of(named("study-7"), "key:a", AT + timedelta(hours=3)) == first
    assert examination_of(named("study-8"), "key:a", AT) != first


def test_same_id_of_another_caller_is_another_examination():
    assert examination_of(named("1"), "key:a", AT) != examination_of(named("1"), "key:b", AT)


def test_images_without_id_are_one_examination_within_the_window():
    first = examination_of([], "key:a", AT)
    assert examination_of([], "key:a", AT + timedelta(seconds=WINDOW_S - 1)) == first
    assert examination_of([], "key:a", AT + timedelta(seconds=WINDOW_S)) != first
    assert examination_of([], "key:b", AT) != first


def test_key_does_not_hold_the_id():
    key = examination_of(named("abcdef"), "key:a", AT)
    assert len(key) == KEY_LENGTH
    assert "abcdef" not in key


def test_id_cannot_pass_for_a_window():
    window = f"window:{int(AT.timestamp()) // WINDOW_S}"
    assert examination_of(named(window), "key:a", AT) != examination_of([], "key:a", AT)


@pytest.mark.parametrize(
    "headers",
    [named("Jane Doe"), named(""), named("a" * 65), named("a") + named("b")],
    ids=["a name", "empty", "too long", "twice"],
)
def test_malformed_id_is_refused(headers):
    with pytest.raises(BadRequest, match="X-Examination-Id"):
        examination_of(headers, "key:a", AT)
