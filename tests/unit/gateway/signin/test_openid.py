"""What a client has to refuse of a provider (OpenID Connect Core 1.0, 3.1.3.7)."""

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.signin.openid import Attempt, Provider, ProviderUnavailable, SignInRefused
from tests.integration.gateway.openid import settings_for

ISSUER = "https://login.example/realm"
BACK = "https://gateway.example/login/sso/callback"
KEY = RSAKey.generate_key(2048, {"kid": "1"})
ATTEMPT = Attempt("state", "nonce", "verifier")


@dataclass
class FakeProvider:
    """A provider behind httpx's mock transport. `claims` and `metadata` replace its values."""

    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=lambda: {"sub": "jane", "groups": ["a"]})
    sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode(
        {"alg": "RS256", "kid": "1"}, claims, KEY
    )
    keys: list[Any] = field(default_factory=lambda: [KEY.as_dict(private=False)])
    token_status: int = 200
    requests: list[httpx.Request] = field(default_factory=list)

    def provider(self, **settings: Any) -> Provider:
        values = settings_for(ISSUER, **settings)
        return Provider(values, httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = {
            "/realm/.well-known/openid-configuration": self._discovery,
            "/token": self._tokens,
            "/keys": lambda: httpx.Response(200, json={"keys": self.keys}),
            "/userinfo": lambda: httpx.Response(200, json=self.userinfo),
        }
        return answers[request.url.path]()

    def _discovery(self) -> httpx.Response:
        document = {
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.example/authorize",
            "token_endpoint": "https://login.example/token",
            "jwks_uri": "https://login.example/keys",
            "userinfo_endpoint": "https://login.example/userinfo",
        } | self.metadata
        return httpx.Response(200, json={k: v for k, v in document.items() if v is not None})

    def _tokens(self) -> httpx.Response:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": "lesionserve",
            "sub": "jane",
            "exp": now + 300,
            "iat": now,
            "nonce": "nonce",
        } | self.claims
        given = {name: value for name, value in claims.items() if value is not None}
        tokens = {"id_token": self.sign(given), "access_token": "access", "token_type": "Bearer"}
        return httpx.Response(self.token_status, json=tokens)


def claims_of(fake: FakeProvider, **settings: Any) -> dict[str, Any]:
    return fake.provider(**settings).claims("a code", ATTEMPT, BACK)


def test_address_names_client_state_nonce_and_challenge():
    address = FakeProvider().provider().address(ATTEMPT, BACK, anew=False)
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    digest = hashlib.sha256(b"verifier").digest()
    assert address.startswith("https://login.example/authorize?")
    assert query == {
        "response_type": "code",
        "client_id": "lesionserve",
        "redirect_uri": BACK,
        "scope": "openid profile email",
        "state": "state",
        "nonce": "nonce",
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }


def test_attempts_share_nothing():
    first, second = Attempt.begin(), Attempt.begin()
    values = [first.state, first.nonce, first.verifier, second.state, second.nonce, second.verifier]
    assert len(set(values)) == 6
    assert all(43 <= len(value) <= 128 for value in values)  # RFC 7636, 4.1


def test_claims_of_token_come_before_those_of_userinfo():
    fake = FakeProvider(claims={"groups": ["b"]}, userinfo={"sub": "jane", "email": "j@x.example"})
    claims = claims_of(fake) | {"groups": ["b"]}
    assert (claims["groups"], claims["email"]) == (["b"], "j@x.example")
    fake.userinfo["groups"] = ["a"]
    assert claims_of(fake)["groups"] == ["b"]


def test_code_is_sent_with_verifier_and_encoded_secret():
    fake = FakeProvider()
    claims_of(fake)
    (request,) = [request for request in fake.requests if request.url.path == "/token"]
    scheme, _, credentials = request.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    plain = base64.b64decode(credentials).decode()
    assert plain == "lesionserve:a+secret%3A+of+%26+the+client"  # RFC 6749, 2.3.1
    form = parse_qs(request.content.decode())
    assert form["code_verifier"] == ["verifier"]
    assert form["redirect_uri"] == [BACK]


def test_secret_is_in_form_where_provider_asks_for_that():
    methods = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    fake = FakeProvider(metadata=methods)
    claims_of(fake)
    (request,) = [request for request in fake.requests if request.url.path == "/token"]
    assert "Authorization" not in request.headers
    assert parse_qs(request.content.decode())["client_secret"] == ["a secret: of & the client"]


@pytest.mark.parametrize("endpoint", [None, "https://login.example/userinfo"])
def test_userinfo_is_optional(endpoint):
    assert claims_of(FakeProvider(metadata={"userinfo_endpoint": endpoint}))["sub"] == "jane"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://login.example/other"},
        {"iss": None},
        {"aud": "another client"},
        {"aud": ["lesionserve", "another client"]},
        {"aud": ["lesionserve", "another client"], "azp": "another client"},
        {"azp": "another client"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"nonce": None},
        {"nonce": "of another attempt"},
        {"exp": None},
        {"exp": 1_700_000_000},
        {"iat": None},
        {"iat": 9_999_999_999},
        {"nbf": 9_999_999_999},
    ],
    ids=str,
)
def test_refuses_token_that_is_not_for_this_sign_in(claims):
    with pytest.raises(SignInRefused):
        claims_of(FakeProvider(claims=claims))


def test_accepts_token_for_several_clients_that_names_this_one():
    claims = {"aud": ["another client", "lesionserve"], "azp": "lesionserve"}
    assert claims_of(FakeProvider(claims=claims))["sub"] == "jane"


def unsigned(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "none"}, claims, KEY, algorithms=["none"])


def of_another_key(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "1"}, claims, RSAKey.generate_key(2048))


def of_the_clients_secret(claims: dict[str, Any]) -> str:
    key = OctKey.import_key("a secret: of & the client")
    return jwt.encode({"alg": "HS256", "kid": "1"}, claims, key, algorithms=["HS256"])


@pytest.mark.filterwarnings("ignore:JWS algorithm")
@pytest.mark.parametrize(
    "sign", [unsigned, of_another_key, of_the_clients_secret, lambda claims: "no token"]
)
def test_refuses_token_that_provider_did_not_sign(sign):
    with pytest.raises(SignInRefused):
        claims_of(FakeProvider(sign=sign))


def test_accepts_elliptic_curves():
    key = ECKey.generate_key("P-256", {"kid": "2"})
    fake = FakeProvider(
        sign=lambda claims: jwt.encode({"alg": "ES256", "kid": "2"}, claims, key),
        keys=[KEY.as_dict(private=False), key.as_dict(private=False)],
    )
    assert claims_of(fake)["sub"] == "jane"


def test_refuses_userinfo_of_another_person():
    with pytest.raises(SignInRefused, match="another person"):
        claims_of(FakeProvider(userinfo={"sub": "john", "groups": ["admins"]}))


def test_refused_code_is_no_failure_of_provider():
    with pytest.raises(SignInRefused, match="400"):
        claims_of(FakeProvider(token_status=400))


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://login.example/other"},
        {"token_endpoint": None},
        {"token_endpoint": "http://login.example/token"},
        {"jwks_uri": "no address"},
    ],
    ids=str,
)
def test_malformed_discovery_is_failure_of_provider(metadata):
    with pytest.raises(ProviderUnavailable):
        claims_of(FakeProvider(metadata=metadata))


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(500),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(302, headers={"Location": "https://evil.example/"}),
    ],
    ids=lambda response: str(response.status_code),
)
def test_other_answers_are_failures_of_provider(response):
    transport = httpx.MockTransport(lambda request: response)
    provider = Provider(settings_for(ISSUER), transport)
    with pytest.raises(ProviderUnavailable):
        provider.address(ATTEMPT, BACK, anew=False)


def test_discovery_is_read_once():
    fake = FakeProvider()
    provider = fake.provider()
    for _ in range(2):
        provider.address(ATTEMPT, BACK, anew=False)
    assert len(fake.requests) == 1
