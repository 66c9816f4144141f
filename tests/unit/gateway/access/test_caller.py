import pytest

from gateway.access.caller import Caller
from gateway.errors import Forbidden
from gateway.people.models import Organisation

CLINIC = Organisation(name="a clinic")


@pytest.mark.parametrize(
    ("caller", "name"),
    [
        (Caller(CLINIC, frozenset(), key_id="0123456789ab"), "key:0123456789ab"),
        (Caller(CLINIC, frozenset(), user="nurse"), "user:nurse"),
    ],
)
def test_name_distinguishes_key_from_person(caller: Caller, name: str):
    assert caller.name == name


@pytest.mark.parametrize(
    ("scopes", "source"),
    [
        ({"probe"}, "probe"),
        ({"predict"}, "client"),
        ({"predict", "probe"}, "client"),
        ({"probe", "usage:read"}, "client"),
        (set(), "client"),
    ],
)
def test_only_probe_scope_alone_makes_probe(scopes: set[str], source: str):
    caller = Caller(CLINIC, frozenset(scopes), key_id="0123456789ab")
    assert (caller.identity[-1], caller.is_probe) == (source, source == "probe")


def test_error_names_missing_scope():
    caller = Caller(CLINIC, frozenset({"predict"}), user="nurse")
    caller.require("predict")
    with pytest.raises(Forbidden, match=r"needs the scope 'usage:read'.*ask your operator"):
        caller.require("usage:read")
