"""Who comes, changes and goes is in the trail."""

from io import StringIO

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User, update_last_login
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.serializers import deserialize, serialize
from django.db import OperationalError
from django.test import RequestFactory

from gateway.audit.chain import Head
from gateway.audit.events import COMMAND
from gateway.audit.models import Event
from gateway.people.actions import (
    add_member,
    get_or_add_organisation,
    remove_member,
    remove_organisation,
    save_member,
    save_organisation,
)
from gateway.people.models import Member, Organisation
from tests.clinics import organisation_named

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic() -> Organisation:
    return organisation_named("a clinic")


@pytest.fixture
def nurse(clinic: Organisation) -> User:
    user = User.objects.create_user("nurse", password="a password of some length")
    add_member(user, clinic, by=COMMAND)
    return user


def new_events() -> list[tuple[str, str, str]]:
    """Return action, subject and organisation of each event since the last call."""
    events = Event.objects.select_related("organisation").order_by("pk")
    rows = [(event.action, event.subject, str(event.organisation or "")) for event in events]
    assert {event.actor for event in events} <= {"command"}
    call_command("verify_audit", stdout=StringIO())
    Event.objects.all().delete()
    Head.objects.all().delete()
    return rows


CHANGED = [("person.changed", "user:nurse", "a clinic")]


def test_added_person_is_recorded(nurse):
    assert new_events() == [
        ("organisation.added", "organisation:a clinic", "a clinic"),
        ("person.added", "user:nurse", ""),
        ("person.added", "user:nurse", "a clinic"),
    ]


def test_changed_person_is_recorded_without_password(nurse):
    new_events()
    nurse.set_password("another password of some length")
    nurse.is_superuser = True
    nurse.save()
    assert nurse.password not in str(list(Event.objects.values()))
    assert new_events() == CHANGED


def test_granted_and_revoked_roles_are_recorded(nurse):
    new_events()
    role, right = Group.objects.get(name="admin"), Permission.objects.first()
    for change in (
        lambda: nurse.groups.add(role),
        lambda: nurse.groups.clear(),
        lambda: role.user_set.add(nurse),
        lambda: role.user_set.clear(),
        lambda: nurse.user_permissions.set([right]),
        lambda: nurse.user_permissions.remove(right),
    ):
        change()
        assert new_events() == CHANGED


def test_deletion_of_role_is_recorded_for_its_members(nurse):
    role = Group.objects.create(name="a role")
    nurse.groups.add(role)
    new_events()
    role.delete()
    assert new_events() == CHANGED


def test_save_without_change_is_not_recorded(nurse):
    nurse.groups.add(Group.objects.get(name="admin"))
    new_events()
    nurse.groups.set(nurse.groups.all())
    update_last_login(None, nurse)
    for fixture in deserialize("json", serialize("json", [nurse, nurse.member])):
        fixture.save()
    assert new_events() == []


def test_move_to_another_organisation_is_recorded(nurse):
    new_events()
    nurse.member.organisation = organisation_named("elsewhere")
    save_member(nurse.member, by=COMMAND)
    assert new_events() == [
        ("organisation.added", "organisation:elsewhere", "elsewhere"),
        ("person.removed", "user:nurse", "a clinic"),
        ("person.changed", "user:nurse", "elsewhere"),
    ]


def test_replaced_member_is_recorded(nurse):
    member = nurse.member
    member.user = User.objects.create_user("doctor")
    new_events()
    save_member(member, by=COMMAND)
    assert new_events() == [
        ("person.removed", "user:nurse", "a clinic"),
        ("person.changed", "user:doctor", "a clinic"),
    ]


def test_deleted_person_is_recorded(nurse):
    new_events()
    nurse.delete()
    assert new_events() == [
        ("person.removed", "user:nurse", "a clinic"),
        ("person.removed", "user:nurse", ""),
    ]


def test_removed_member_stays_user_and_is_recorded(nurse):
    new_events()
    remove_member(nurse.member, by=COMMAND)
    assert new_events() == [("person.removed", "user:nurse", "a clinic")]
    assert User.objects.filter(username="nurse").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda nurse, clinic: add_member(User.objects.create_user("doctor"), clinic, by=COMMAND),
        lambda nurse, clinic: save_member(nurse.member, by=COMMAND),
        lambda nurse, clinic: remove_member(nurse.member, by=COMMAND),
        lambda nurse, clinic: get_or_add_organisation("elsewhere", by=COMMAND),
        lambda nurse, clinic: save_organisation(Organisation(pk=clinic.pk, name="x"), by=COMMAND),
    ],
    ids=["add member", "save member", "remove member", "add organisation", "rename organisation"],
)
def test_nothing_changes_if_event_cannot_be_written(nurse, clinic, change, monkeypatch):
    def fail(*_: object) -> None:
        raise OperationalError("the disk is full")

    def rows() -> list[object]:
        return [*Member.objects.values_list(), *Organisation.objects.values_list()]

    before = rows()
    monkeypatch.setattr(Head, "append", fail)
    with pytest.raises(OperationalError):
        change(nurse, clinic)
    assert rows() == before


def test_changed_and_deleted_organisation_is_recorded(clinic):
    new_events()
    clinic.is_active = False
    save_organisation(clinic, by=COMMAND)
    assert new_events() == [("organisation.changed", "organisation:a clinic", "a clinic")]
    remove_organisation(clinic, by=COMMAND)
    assert new_events() == [("organisation.removed", "organisation:a clinic", "")]


@pytest.mark.parametrize("name", ["", " ", "a\nclinic", "a clinic\x1b[2J", "\u2028", "a" * 201])
def test_invalid_organisation_name_is_refused(name):
    with pytest.raises(ValidationError):
        organisation_named(name)
    assert not Organisation.objects.exists()


def test_roles_cannot_be_edited_in_admin():
    assert not admin.site.is_registered(Group)


def test_admin_edits_are_recorded_with_person_and_address(clinic, nurse):
    request = RequestFactory().post("/admin/", REMOTE_ADDR="192.0.2.7")
    request.user = User.objects.create_superuser("root")
    Event.objects.all().delete()
    clinic.is_active = False
    members = admin.site.get_model_admin(Member)
    admin.site.get_model_admin(Organisation).save_model(request, clinic, form=None, change=True)
    members.save_model(request, nurse.member, form=None, change=True)
    members.delete_queryset(request, Member.objects.all())
    events = Event.objects.order_by("pk").values_list("action", "actor", "address")
    assert list(events) == [
        ("organisation.changed", "user:root", "192.0.2.7"),
        ("person.changed", "user:root", "192.0.2.7"),
        ("person.removed", "user:root", "192.0.2.7"),
    ]
