"""OpenID Connect: the authorization code flow with PKCE, of a client with a secret.

After OpenID Connect Core 1.0 (3.1) and Discovery 1.0. joserfc verifies the ID token.
"""

import secrets
import ssl
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, HttpUrl, ValidationError

from gateway.sign_in_variables import OpenIdSettings

# Signatures by the provider's private key. An HMAC would be by the client's secret.
_ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
]
_WITHIN_S = 5.0
_LEEWAY_S = 60  # between the provider's clock and ours
_METADATA_FOR_S = 600.0

Claims = dict[str, Any]


class ProviderUnavailable(Exception):
    """The provider gave no answer, or none that OpenID Connect allows."""


class SignInRefused(Exception):
    """The provider's answer is not a sign-in that this session began."""


class Metadata(BaseModel):
    """What is used of a provider's discovery document."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    authorization_endpoint: HttpUrl
    token_endpoint: HttpUrl
    jwks_uri: HttpUrl
    userinfo_endpoint: HttpUrl | None = None
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]

    def schemes(self) -> set[str]:
        endpoints = (
            self.authorization_endpoint,
            self.token_endpoint,
            self.jwks_uri,
            self.userinfo_endpoint,
        )
        return {endpoint.scheme for endpoint in endpoints if endpoint is not None}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in at the provider, from its start to the callback."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def begin(cls) -> "Attempt":
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @property
    def challenge(self) -> str:
        """Return the S256 challenge of RFC 7636."""
        digest = sha256(self.verifier.encode()).digest()
        return urlsafe_b64encode(digest).decode().rstrip("=")


class Provider:
    """The OpenID provider of the settings. Its metadata is read again every ten minutes.

    transport: how it is reached; by default HTTPS, verified by the settings' authority.
    """

    def __init__(
        self, settings: OpenIdSettings, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._settings = settings
        authority = None if settings.ca is None else str(settings.ca)
        tls = ssl.create_default_context(cafile=authority)
        self._client = httpx.Client(
            transport=transport or httpx.HTTPTransport(verify=tls, trust_env=False),
            timeout=_WITHIN_S,
            trust_env=False,
        )
        self._metadata: tuple[float, Metadata] | None = None
        self._lock = Lock()

    def address(self, attempt: Attempt, redirect_uri: str, *, anew: bool) -> str:
        """Return the address at which a person signs in.

        anew: whether the provider has to ask for the password, though it knows the person's
        browser. Raise ProviderUnavailable.
        """
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": self._settings.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        if anew:
            query |= {"prompt": "login", "max_age": "0"}
        address = str(self._discover().authorization_endpoint)
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"

    def claims(self, code: str, attempt: Attempt, redirect_uri: str) -> Claims:
        """Return what the provider says of the person: the ID token's claims, before userinfo's.

        Raise ProviderUnavailable, or SignInRefused for a code or a token that is not valid.
        """
        tokens = self._exchange(code, attempt, redirect_uri)
        claims = self._verified(str(tokens.get("id_token", "")), attempt.nonce)
        return self._userinfo(str(tokens.get("access_token", "")), claims["sub"]) | claims

    def _discover(self) -> Metadata:
        with self._lock:
            if self._metadata is None or monotonic() - self._metadata[0] > _METADATA_FOR_S:
                path = "/.well-known/openid-configuration"
                document = self._json("GET", self._settings.issuer.rstrip("/") + path)
                try:
                    metadata = Metadata.model_validate(document)
                except ValidationError as error:
                    raise ProviderUnavailable("the discovery document is malformed") from error
                self._check(metadata)
                self._metadata = monotonic(), metadata
            return self._metadata[1]

    def _check(self, metadata: Metadata) -> None:
        if metadata.issuer != self._settings.issuer:
            raise ProviderUnavailable(f"the provider calls itself {metadata.issuer!r}")
        if self._settings.issuer.startswith("https:") and metadata.schemes() != {"https"}:
            raise ProviderUnavailable("an endpoint of the provider is plain HTTP")

    def _exchange(self, code: str, attempt: Attempt, redirect_uri: str) -> dict[str, Any]:
        metadata, secret = self._discover(), self._settings.client_secret
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
        }
        client = self._settings.client_id
        if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            # RFC 6749, 2.3.1: both are form-encoded before they are joined by a colon.
            credentials = httpx.BasicAuth(quote_plus(client), quote_plus(secret))
            return self._json("POST", str(metadata.token_endpoint), data=form, auth=credentials)
        form |= {"client_id": client, "client_secret": secret}
        return self._json("POST", str(metadata.token_endpoint), data=form)

    def _verified(self, id_token: str, nonce: str) -> Claims:
        """Return the claims of an ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
        metadata, client = self._discover(), self._settings.client_id
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": metadata.issuer},
            aud={"essential": True, "value": client},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            keys = KeySet.import_key_set(self._json("GET", str(metadata.jwks_uri)))  # type: ignore[arg-type]  # checked by the call
            claims: Claims = jwt.decode(id_token, keys, algorithms=_ALGORITHMS).claims
            registry.validate(claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise SignInRefused(f"the ID token is not valid: {error}") from error
        audience = claims["aud"]
        is_only_ours = audience == client or audience == [client]
        if claims.get("azp", client if is_only_ours else None) != client:
            raise SignInRefused("the ID token was issued to another client")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise SignInRefused("the ID token has no valid subject")
        return claims

    def _userinfo(self, access_token: str, subject: str) -> Claims:
        """Return the claims of the userinfo endpoint, which many providers keep groups for."""
        endpoint = self._discover().userinfo_endpoint
        if endpoint is None or not access_token:
            return {}
        headers = {"Authorization": f"Bearer {access_token}"}
        claims = self._json("GET", str(endpoint), headers=headers)
        if claims.get("sub") != subject:
            raise SignInRefused("the userinfo endpoint speaks of another person")
        return claims

    def _json(self, method: str, url: str, **request: Any) -> dict[str, Any]:
        """Return a JSON object of the provider. No redirect is followed."""
        try:
            response = self._client.request(method, url, **request)
        except httpx.HTTPError as error:
            raise ProviderUnavailable(f"{url}: {error or type(error).__name__}") from error
        if method == "POST" and 400 <= response.status_code < 500:
            raise SignInRefused(f"the provider refused the code with {response.status_code}")
        try:
            document = response.raise_for_status().json()
        except (httpx.HTTPStatusError, ValueError) as error:
            raise ProviderUnavailable(f"{url}: {response.status_code}, or no JSON") from error
        if not isinstance(document, dict):
            raise ProviderUnavailable(f"{url}: no JSON object")
        return document
