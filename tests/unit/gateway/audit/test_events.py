import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import RequestFactory

from gateway.audit.events import Actor, actor_of, record_event, record_reading
from gateway.audit.models import Event
from gateway.people.actions import add_member
from tests.clinics import organisation_named


def request_of(user: User | AnonymousUser, address: str = "::ffff:192.0.2.1"):
    request = RequestFactory(REMOTE_ADDR=address).get("/admin/")
    request.user = user
    return request


@pytest.mark.parametrize(
    ("signed_in", "user", "name"),
    [
        (User(username="nurse"), None, "user:nurse"),
        (User(username="nurse"), User(username="admin"), "user:admin"),
        (AnonymousUser(), User(username="admin"), "user:admin"),
        (AnonymousUser(), None, "unknown"),
    ],
)
def test_actor_is_person_behind_request(signed_in, user, name):
    assert actor_of(request_of(signed_in), user) == Actor(name, "192.0.2.1")


@pytest.mark.django_db
def test_event_says_who_did_what():
    organisation = organisation_named("a clinic")
    record_event(Event.Action.KEY_ISSUED, Actor("user:nurse", "192.0.2.1"), organisation, "a key")
    event = Event.objects.get(subject="a key")
    assert (event.action, event.actor, event.address) == ("key.issued", "user:nurse", "192.0.2.1")
    assert event.organisation == organisation
    assert event.position == Event.objects.count()


@pytest.mark.django_db
def test_event_has_no_subject_unless_given():
    record_event(Event.Action.SESSION_ENDED, Actor("user:nurse"))
    event = Event.objects.get()
    assert (event.subject, event.address, event.organisation) == ("", None, None)


@pytest.mark.django_db
def test_long_names_are_cut_to_their_columns():
    record_event(Event.Action.SESSION_REFUSED, Actor("a" * 201), None, "b" * 201)
    event = Event.objects.get()
    assert (event.actor, event.subject) == ("a" * 200, "b" * 200)


@pytest.mark.django_db
def test_reading_is_recorded_for_organisation_of_reader():
    organisation = organisation_named("a clinic")
    nurse = User.objects.create_user("nurse")
    add_member(nurse, organisation, by=Actor("command"))
    record_reading(Event.Action.RECORD_READ, request_of(nurse), "record:9")
    event = Event.objects.get(action="record.read")
    assert (event.actor, event.address, event.subject) == ("user:nurse", "192.0.2.1", "record:9")
    assert event.organisation == organisation
