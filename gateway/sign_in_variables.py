"""The settings of how people sign in: the second factor, and single sign-on by OpenID Connect."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from gateway.role_names import ROLE_NAMES, RoleName
from gateway.variables import AuthorityFile, is_this_machine

# Whether a sign-in at the provider counts as a second factor: never, where the ID token says so
# (`amr` holds `mfa`, RFC 8176), or always, since the provider asks everybody for one.
ProvidedFactor = Literal["never", "claimed", "always"]

# Who may sign in with a password: everybody who has one, or superusers alone.
PasswordPeople = Literal["all", "superusers"]

_EVERYBODY = "all"


class Place(BaseModel):
    """Where the people of one group of the provider belong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    organisation: Annotated[str, Field(min_length=1, max_length=200)]
    role: RoleName


@dataclass(frozen=True, slots=True)
class OpenIdSettings:
    """The OpenID provider at which people sign in.

    issuer: its URL, as its ID tokens name it. name: what people call it; "" for any name. ca: the
    certificate authority to trust; None for those of the system. places: by the name of a group in
    the claim `groups_claim`.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str
    scopes: str
    ca: Path | None
    links_by_email: bool
    groups_claim: str
    places: Mapping[str, Place] = field(hash=False)
    second_factor: ProvidedFactor


def _split_roles(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = [part.strip() for part in value.split(",") if part.strip()]
    if names == [_EVERYBODY]:
        return ROLE_NAMES
    if not set(names) <= set(ROLE_NAMES):
        raise ValueError(f"write `{_EVERYBODY}`, or some of {', '.join(ROLE_NAMES)}")
    return names


def _parse_places(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        places = json.loads(value)
    except ValueError:
        raise ValueError(
            'write JSON such as {"nurses": {"organisation": "St. Mary", "role": "clinician"}}'
        ) from None
    return places


def _check_issuer(value: str) -> str:
    parts = urlsplit(value)
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("the https:// URL of the provider is needed, as its ID tokens name it")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(parts.hostname)):
        raise ValueError("an https:// URL is needed; plain HTTP is for this machine only")
    return value


def _check_scopes(value: str) -> str:
    if "openid" not in value.split():
        raise ValueError("write the scopes with spaces between them; one of them is `openid`")
    return " ".join(value.split())


Roles = Annotated[frozenset[RoleName], BeforeValidator(_split_roles)]
Places = Annotated[dict[str, Place], BeforeValidator(_parse_places)]
Issuer = Annotated[str, AfterValidator(_check_issuer)]
Scopes = Annotated[str, AfterValidator(_check_scopes)]


class SignInVariables(BaseModel):
    """The variables of the environment; those of single sign-on begin with LESIONSERVE_OIDC_."""

    # Error messages leave the values out: some of them are secret.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    second_factor: bool = Field(False, alias="LESIONSERVE_SECOND_FACTOR")
    require_second_factor: Roles = Field(frozenset(), alias="LESIONSERVE_REQUIRE_SECOND_FACTOR")
    passwords: PasswordPeople = Field("all", alias="LESIONSERVE_PASSWORDS")
    oidc_issuer: Issuer | None = Field(None, alias="LESIONSERVE_OIDC_ISSUER")
    oidc_client_id: str | None = Field(None, alias="LESIONSERVE_OIDC_CLIENT_ID", min_length=1)
    oidc_client_secret: SecretStr | None = Field(
        None, alias="LESIONSERVE_OIDC_CLIENT_SECRET", min_length=1
    )
    oidc_name: str = Field("", alias="LESIONSERVE_OIDC_NAME", max_length=60)
    oidc_scopes: Scopes = Field("openid profile email", alias="LESIONSERVE_OIDC_SCOPES")
    oidc_ca: AuthorityFile | None = Field(None, alias="LESIONSERVE_OIDC_CA")
    oidc_links_by_email: bool = Field(False, alias="LESIONSERVE_OIDC_LINK_BY_EMAIL")
    oidc_groups_claim: str = Field("groups", alias="LESIONSERVE_OIDC_GROUPS_CLAIM", min_length=1)
    oidc_groups: Places = Field({}, alias="LESIONSERVE_OIDC_GROUPS")
    oidc_second_factor: ProvidedFactor = Field("claimed", alias="LESIONSERVE_OIDC_SECOND_FACTOR")

    @model_validator(mode="after")
    def _second_factor_is_on(self) -> Self:
        if self.require_second_factor and not self.second_factor:
            raise ValueError(
                "LESIONSERVE_REQUIRE_SECOND_FACTOR: needs LESIONSERVE_SECOND_FACTOR=true"
            )
        return self

    @model_validator(mode="after")
    def _is_a_whole_provider(self) -> Self:
        needed = {
            "LESIONSERVE_OIDC_CLIENT_ID": self.oidc_client_id,
            "LESIONSERVE_OIDC_CLIENT_SECRET": self.oidc_client_secret,
        }
        given = [name for name in self._oidc_names_given() if name != "LESIONSERVE_OIDC_ISSUER"]
        if self.oidc_issuer is None:
            if given:
                raise ValueError(f"LESIONSERVE_OIDC_ISSUER: required with {', '.join(given)}")
        elif missing := [name for name, value in needed.items() if value is None]:
            raise ValueError(f"{', '.join(missing)}: required with LESIONSERVE_OIDC_ISSUER")
        return self

    @model_validator(mode="after")
    def _people_can_sign_in(self) -> Self:
        if self.passwords != "all" and self.oidc_issuer is None:
            raise ValueError("LESIONSERVE_PASSWORDS: superusers needs LESIONSERVE_OIDC_ISSUER")
        return self

    def _oidc_names_given(self) -> list[str]:
        fields = type(self).model_fields
        names = [fields[name].alias or "" for name in self.model_fields_set]
        return sorted(name for name in names if name.startswith("LESIONSERVE_OIDC_"))

    @property
    def openid(self) -> OpenIdSettings | None:
        """Return the settings of single sign-on; None where it is off."""
        if self.oidc_issuer is None:
            return None
        assert self.oidc_client_id is not None
        assert self.oidc_client_secret is not None
        return OpenIdSettings(
            issuer=self.oidc_issuer,
            client_id=self.oidc_client_id,
            client_secret=self.oidc_client_secret.get_secret_value(),
            name=self.oidc_name,
            scopes=self.oidc_scopes,
            ca=self.oidc_ca,
            links_by_email=self.oidc_links_by_email,
            groups_claim=self.oidc_groups_claim,
            places=self.oidc_groups,
            second_factor=self.oidc_second_factor,
        )
