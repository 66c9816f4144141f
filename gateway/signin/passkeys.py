"""Passkeys: WebAuthn's ceremonies, verified by fido2.

The authenticator always verifies the person, by a PIN, a finger or a face. So a passkey is two
factors in one, and lets a person sign in without a password.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.http.request import split_domain_port
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from gateway.signin.models import Passkey

NAME = "lesionserve"

State = dict[str, Any]  # what a session keeps between the two halves of a ceremony
_VERIFIED = UserVerificationRequirement.REQUIRED


class InvalidPasskey(Exception):
    """The browser's answer is not that of a registered passkey to this session's challenge."""


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What a registration proved. id: in base64url."""

    id: str
    credential: bytes
    sign_count: int


def begin_registration(
    request: HttpRequest, user: AbstractBaseUser, known: list[Passkey]
) -> tuple[Mapping[str, Any], State]:
    """Return the options for the browser's `navigator.credentials.create`, and the state."""
    person = PublicKeyCredentialUserEntity(
        id=_handle_of(user), name=user.get_username(), display_name=user.get_username()
    )
    options, state = _server(request).register_begin(
        person,
        credentials=[_descriptor(passkey) for passkey in known],
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=_VERIFIED,
    )
    return dict(options)["publicKey"], state


def complete_registration(
    request: HttpRequest, state: State, answer: Mapping[str, Any]
) -> NewCredential:
    """Return the new credential. Raise InvalidPasskey."""
    try:
        registration = RegistrationResponse.from_dict(answer)
        data = _server(request).register_complete(state, registration)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidPasskey from error
    assert data.credential_data is not None
    id_ = websafe_encode(data.credential_data.credential_id)
    return NewCredential(id_, bytes(data.credential_data), data.counter)


def begin_authentication(
    request: HttpRequest, known: list[Passkey]
) -> tuple[Mapping[str, Any], State]:
    """Return the options for `navigator.credentials.get`, and the state.

    known: the passkeys of a person who is known already; none where the passkey says who it is.
    """
    options, state = _server(request).authenticate_begin(
        [_descriptor(passkey) for passkey in known] or None, user_verification=_VERIFIED
    )
    return dict(options)["publicKey"], state


def complete_authentication(
    request: HttpRequest, state: State, answer: Mapping[str, Any]
) -> tuple[Passkey, int]:
    """Return the passkey that signed the challenge, and its new count. Raise InvalidPasskey.

    An authenticator that counts its signatures counts up. One whose count does not is a copy.
    """
    try:
        authentication = AuthenticationResponse.from_dict(answer)
        id_ = websafe_encode(authentication.raw_id)
        passkey = Passkey.objects.select_related("user").get(credential_id=id_)
        credential = AttestedCredentialData(bytes(passkey.credential))
        _server(request).authenticate_complete(state, [credential], authentication)
        handle = authentication.response.user_handle
    except (ValueError, TypeError, KeyError, AttributeError, Passkey.DoesNotExist) as error:
        raise InvalidPasskey from error
    if handle is not None and handle != _handle_of(passkey.user):
        raise InvalidPasskey
    count = authentication.response.authenticator_data.counter
    if (count or passkey.sign_count) and count <= passkey.sign_count:
        raise InvalidPasskey
    return passkey, count


def _server(request: HttpRequest) -> Fido2Server:
    """Return the verifier for the host of the request, which is one of ALLOWED_HOSTS.

    Browsers offer a passkey to the host only for which it was made.
    """
    host, _ = split_domain_port(request.get_host())
    return Fido2Server(PublicKeyCredentialRpEntity(id=host, name=NAME))


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    credential = AttestedCredentialData(bytes(passkey.credential))
    return PublicKeyCredentialDescriptor(
        type=PublicKeyCredentialType.PUBLIC_KEY, id=credential.credential_id
    )


def _handle_of(user: AbstractBaseUser) -> bytes:
    """Return the name that an authenticator stores for a person. It must tell nothing of them."""
    return str(user.pk).encode()
