import pytest
from django.contrib.auth.models import Group, User

from gateway.people.models import Member
from gateway.people.roles import ROLES
from gateway.signin.landing import landing_of
from tests.clinics import organisation_named

pytestmark = pytest.mark.django_db

RECORDS = "/admin/usage/record/"


def somebody(*roles: str, belongs: bool = True, **fields: bool) -> User:
    is_staff = any(ROLES[role].permissions for role in roles)
    user = User.objects.create(username="somebody", **{"is_staff": is_staff, **fields})
    user.groups.set(Group.objects.filter(name__in=roles))
    if belongs:
        Member.objects.create(user=user, organisation=organisation_named("a clinic"))
    return user


@pytest.mark.parametrize(
    ("roles", "page"),
    [
        (["clinician"], "/"),
        (["operator"], "/operations"),
        (["auditor"], RECORDS),
        (["admin"], "/"),
        (["clinician", "operator", "auditor"], "/"),
        (["operator", "auditor"], "/operations"),
        ([], "/"),
    ],
)
def test_first_of_several_roles_decides(roles, page):
    assert landing_of(somebody(*roles)) == page


def test_clinician_without_organisation_lands_where_work_is():
    assert landing_of(somebody("clinician", "auditor", belongs=False)) == RECORDS


def test_superuser_without_organisation_lands_on_operations():
    assert landing_of(somebody(belongs=False, is_superuser=True, is_staff=True)) == "/operations"


def test_operator_who_is_no_staff_lands_on_start_page():
    assert landing_of(somebody("operator", is_staff=False)) == "/"
