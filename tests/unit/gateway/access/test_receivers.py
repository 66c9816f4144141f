"""Events of sign-ins, and of Django's own edits of users."""

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest
from django.test import RequestFactory

from gateway.audit.models import Event
from gateway.people.actions import add_member
from tests.clinics import organisation_named
from tests.unit.gateway.access.test_actions import OPERATOR

pytestmark = pytest.mark.django_db


@pytest.fixture
def nurse() -> User:
    """A member of a clinic, with no event so far."""
    user = User.objects.create_user("nurse")
    add_member(user, organisation_named("a clinic"), by=OPERATOR)
    Event.objects.all().delete()
    return user


@pytest.fixture
def request_(rf: RequestFactory) -> HttpRequest:
    return rf.post("/login/", REMOTE_ADDR="192.0.2.1")


def events() -> list[tuple[str, str, str, str | None, str]]:
    """Return the action, actor, organisation, address and subject of each event."""
    return [
        (row.action, row.actor, str(row.organisation), row.address, row.subject)
        for row in Event.objects.order_by("pk")
    ]


def test_sign_in_and_sign_out_write_events_of_person(nurse: User, request_: HttpRequest):
    for signal in (user_logged_in, user_logged_out):
        signal.send(User, request=request_, user=nurse)
    who = ("user:nurse", "a clinic", "192.0.2.1", "")
    assert events() == [("session.began", *who), ("session.ended", *who)]


def test_sign_out_of_nobody_writes_no_event(request_: HttpRequest):
    user_logged_out.send(User, request=request_, user=None)
    assert events() == []


def test_refused_sign_in_names_known_person(nurse: User, request_: HttpRequest):
    user_login_failed.send("axes", credentials={"username": "nurse"}, request=request_)
    assert events() == [
        ("session.refused", "unknown", "a clinic", "192.0.2.1", "user:nurse"),
    ]


def test_refused_sign_in_does_not_record_unknown_name(nurse: User):
    user_login_failed.send("axes", credentials={"username": "a password"}, request=None)
    assert events() == [("session.refused", "unknown", "None", None, "")]


def test_deletion_of_member_writes_event_of_organisation(nurse: User):
    nurse.delete()
    removal = ("person.removed", "command")
    assert (*removal, "a clinic", None, "user:nurse") in events()


def test_deletion_of_user_without_organisation_writes_one_event():
    user = User.objects.create_user("a guest")
    Event.objects.all().delete()
    user.delete()
    assert events() == [("person.removed", "command", "None", None, "user:a guest")]


@pytest.mark.parametrize("fields", [["last_login"], ["is_active"], None], ids=str)
def test_save_of_user_writes_event_except_for_sign_in_time(nurse: User, fields):
    nurse.save(update_fields=fields)
    assert [event[0] for event in events()] == (
        [] if fields == ["last_login"] else ["person.changed"]
    )


def test_loaded_fixture_writes_no_event(nurse: User):
    nurse.save_base(raw=True)
    assert events() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda user, group: user.groups.add(group),
        lambda user, group: group.user_set.add(user),
        lambda user, group: (group.user_set.add(user), group.user_set.clear()),
        lambda user, group: (user.groups.add(group), group.delete()),
    ],
    ids=["of the user", "of the role", "of the role, cleared", "of a role that is deleted"],
)
def test_change_of_role_writes_event_of_person(nurse: User, change):
    group = Group.objects.create(name="a role")
    change(nurse, group)
    person = ("person.changed", "command", "a clinic", None, "user:nurse")
    assert events()
    assert set(events()) == {person}


def test_role_added_twice_writes_no_event(nurse: User):
    group = Group.objects.create(name="a role")
    nurse.groups.add(group)
    before = events()
    nurse.groups.add(group)
    assert events() == before
