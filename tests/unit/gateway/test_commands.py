import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from gateway.access.management.commands import list_keys
from gateway.access.management.commands.issue_key import Command as IssueKey
from gateway.access.models import ApiKey
from gateway.access.token import Token
from gateway.people.models import Member, Organisation
from tests.clinics import issue_key, revoke_key

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_issue_prints_only_key_to_stdout():
    out, err = run("issue_key", "--name", "a clinic")
    token = Token.parse(out.removesuffix("\n"))
    assert ApiKey.objects.authenticate(token, timezone.now()).name == "a clinic"
    assert token.id in err
    assert token.secret not in err


def test_issue_sets_expiry():
    before = timezone.now()
    run("issue_key", "--name", "a clinic", "--expires-in", "30")
    lasts = ApiKey.objects.get().expires_at - before
    assert timedelta(days=30) <= lasts < timedelta(days=30, hours=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("issue_key",),
        ("issue_key", "--name", " "),
        ("issue_key", "--name", "n" * 201),
        ("issue_key", "--name", "n", "--organisation", "o" * 201),
        ("issue_key", "--name", "n", "--organisation", "a\nclinic"),
        ("issue_key", "--name", "n", "--organisation", " "),
        ("issue_key", "--name", "n", "--expires-in", "0"),
        ("issue_key", "--name", "n", "--expires-in", "soon"),
        ("issue_key", "--name", "n", "--expires-in", "36501"),
        ("issue_key", "--name", "n", "--requests-per-minute", "0"),
        ("issue_key", "--name", "n", "--requests-per-day", "0"),
        ("issue_key", "--name", "n", "--requests-per-day", "1000000001"),
        ("issue_key", "--name", "n", "--owner", "nobody"),
        ("issue_key", "--name", "n", "--scope", "admin"),
        ("issue_key", "--name", "n", "--scope", "probe", "--scope", "predict"),
        ("issue_key", "--name", "n", "--scope", "usage:read", "--scope", "probe"),
        ("rotate_key", "000000000000"),
        ("revoke_key",),
        ("revoke_key", "000000000000"),
    ],
)
def test_wrong_arguments_change_nothing(arguments):
    with pytest.raises(CommandError):
        run(*arguments)
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("organisation", ["o" * 201, "a\x1bclinic", ""])
def test_person_of_invalid_organisation_is_not_added(monkeypatch, organisation):
    monkeypatch.setattr("sys.stdin", io.StringIO("a password of some length\n"))
    with pytest.raises(CommandError):
        run("add_person", "nurse", "--role", "clinician", "--organisation", organisation)
    assert not User.objects.exists()
    assert not Organisation.objects.exists()


def test_added_person_has_role_and_organisation(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("a password of some length\n"))
    run("add_person", "nurse", "--role", "clinician", "--organisation", "a clinic")
    nurse = User.objects.get()
    assert str(Member.objects.organisation_of(nurse)) == "a clinic"
    assert [group.name for group in nurse.groups.all()] == ["clinician"]


def test_list_shows_one_line_per_key_without_secret():
    _, token = issue_key("a\nclinic")
    revoke_key(issue_key("gone")[0])
    issue_key("past", expires_at=timezone.now() - timedelta(days=1))
    out, _ = run("list_keys")
    lines = [line.split("\t") for line in out.splitlines()]
    assert [(line[1], line[-1]) for line in lines[1:]] == [
        ("active", "a clinic"),
        ("revoked", "gone"),
        ("expired", "past"),
    ]
    assert token.secret not in out
    assert token.digest() not in out


def test_revoke_command_revokes_key():
    key, token = issue_key("a clinic")
    run("revoke_key", key.id)
    assert ApiKey.objects.authenticate(token, timezone.now()) is None


def test_issued_key_has_requested_owner_scopes_and_limits():
    User.objects.create_user("nurse")
    run(
        *("issue_key", "--name", "n" * 200, "--owner", "nurse", "--expires-in", "36500"),
        *("--scope", "usage:read", "--scope", "predict"),
        *("--requests-per-minute", "1", "--requests-per-day", "1000000000"),
    )
    key = ApiKey.objects.get()
    assert (key.owner.username, key.scopes) == ("nurse", ["predict", "usage:read"])
    assert (key.requests_per_minute, key.requests_per_day) == (1, 10**9)


def test_probe_key_has_rate_limit_of_its_own():
    run("issue_key", "--name", "n", "--scope", "probe")
    run("issue_key", "--name", "n", "--scope", "probe", "--requests-per-minute", "7")
    assert [key.requests_per_minute for key in ApiKey.objects.all()] == [120, 7]


def test_issue_says_why_probe_scope_stands_alone():
    with pytest.raises(CommandError, match=r"--scope: the scope 'probe' stands alone: .* usage"):
        run("issue_key", "--name", "n", "--scope", "probe", "--scope", "predict")


def test_issue_says_until_when_key_is_valid():
    assert "Valid until revoked." in run("issue_key", "--name", "n")[1]
    _, hints = run("issue_key", "--name", "n", "--expires-in", "1")
    assert f"Valid until {timezone.now() + timedelta(days=1):%Y-%m-%d}" in hints


def test_rotation_prints_new_key_and_end_of_old_key():
    old, _ = issue_key()
    out, hints = run("rotate_key", old.id, "--overlap", "365")
    token = Token.parse(out.removesuffix("\n"))
    assert ApiKey.objects.authenticate(token, timezone.now()).id == token.id
    assert f"Issued {token.id}." in hints
    assert f"{old.id} is valid until {timezone.now() + timedelta(days=365):%Y-%m-%d}" in hints


def test_rotation_without_overlap_ends_old_key_at_once():
    old, token = issue_key()
    run("rotate_key", old.id, "--overlap", "0")
    assert ApiKey.objects.authenticate(token, timezone.now()) is None


def test_key_is_not_rotated_twice():
    key, _ = issue_key()
    run("rotate_key", key.id)
    with pytest.raises(CommandError, match="rotated before"):
        run("rotate_key", key.id)
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize("overlap", ["-1", "366", "a week"])
def test_key_is_not_rotated_with_wrong_overlap(overlap):
    key, _ = issue_key()
    with pytest.raises(CommandError, match="--overlap"):
        run("rotate_key", key.id, f"--overlap={overlap}")
    assert ApiKey.objects.count() == 1


def test_expired_key_is_not_rotated():
    key, _ = issue_key(expires_at=timezone.now() - timedelta(days=1))
    with pytest.raises(CommandError, match="not valid any more"):
        run("rotate_key", key.id)
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("name", ["\x1b[2Jgone", "a\x9b31mb", "a\u202eb", "a\udcffb"])
def test_names_of_keys_are_printed_escaped(name):
    key, _ = issue_key(name.encode("utf-8", "replace").decode())
    listed, _ = run("list_keys")
    _, revoked = run("revoke_key", key.id)
    for printed in (listed, revoked):
        assert set(printed) <= {"\t", "\n", *filter(str.isprintable, printed)}, repr(printed)
    assert len(listed.splitlines()) == 2


def test_errors_are_printed_escaped(monkeypatch, capsys):
    def fail(*_, **__):
        raise CommandError("no such \x1b[2Jname")

    monkeypatch.setattr(list_keys.Command, "handle", fail)
    with pytest.raises(SystemExit):
        list_keys.Command().run_from_argv(["manage.py", "list_keys", "--no-color"])
    assert capsys.readouterr().err == "CommandError: no such \\x1b[2Jname\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_hints_have_no_colour_that_escaping_would_show(monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    IssueKey(force_color=True).run_from_argv(["manage", "issue_key", "--name", "a clinic"])
    assert "Valid until" in terminal.getvalue()
    assert "\\x1b" not in terminal.getvalue()
