from gateway.access.models import ApiKey
from gateway.access.token import Token
from gateway.people.models import Organisation


def issue_key(
    name: str = "a viewer", organisation: str = "a clinic", **fields: object
) -> tuple[ApiKey, Token]:
    return ApiKey.objects.issue(name, Organisation.objects.named(organisation), **fields)
