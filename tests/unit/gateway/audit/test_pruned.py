import pytest

from gateway.audit.models import Event
from gateway.audit.pruned import Pruned, pruned_days

DAY = Pruned("requests", "2026-01-02", 3, 41, "a" * 64)


def test_pruned_day_is_read_from_its_text():
    assert str(DAY) == f"requests 2026-01-02 3 41 {'a' * 64}"
    assert Pruned.parse(str(DAY)) == DAY


@pytest.mark.parametrize(
    "subject",
    [
        "",
        f"requests 2026-01-02 3 41 {'g' * 64}",
        f"requests 2026-01-02 3 {'a' * 64}",
        f"requests 2026-01-2 3 41 {'a' * 64}",
        f"requests 2026-01-02 -3 41 {'a' * 64}",
        f"requests 2026-01-02 \u0663 41 {'a' * 64}",
        f"requests 2026-01-02 {'1' * 10} 41 {'a' * 64}",
        f"requests 2026-01-02 3 {'1' * 19} {'a' * 64}",
        f"{DAY}\n",
    ],
)
def test_other_text_is_no_pruned_day(subject):
    assert Pruned.parse(subject) is None


@pytest.mark.django_db
def test_pruned_days_are_events_of_pruning_of_their_trail():
    for action, subject in [
        ("audit.pruned", str(DAY)),
        ("audit.pruned", str(DAY).replace("requests", "events")),
        ("audit.pruned", "requests what ever"),
        ("usage.read", str(DAY).replace(" 3 ", " 4 ")),
    ]:
        Event.objects.create(action=action, actor="command", subject=subject)
    assert list(pruned_days("requests")) == [DAY]
