import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from gateway.access.token import Token
from gateway.environment import SECRETS, Environment
from gateway.metrics_folder import VARIABLE as FOLDER  # read by prometheus_client, too
from serve_app.paths import ROOT

GOOD = {
    "LESIONSERVE_SECRET_KEY": "k" * 50,
    "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
    "LESIONSERVE_AUDIT_KEY": "a" * 32,
    "PATH": "/usr/bin",
}

OIDC = {
    "LESIONSERVE_OIDC_ISSUER": "https://login.example/realm",
    "LESIONSERVE_OIDC_CLIENT_ID": "lesionserve",
    "LESIONSERVE_OIDC_CLIENT_SECRET": "a client's secret",
}


def test_three_secrets_suffice():
    environment = Environment.read(GOOD)
    assert environment.upstream_url == "http://127.0.0.1:8000"
    assert environment.databases()["default"]["ENGINE"] == "django.db.backends.sqlite3"


@pytest.mark.parametrize(
    ("variable", "hosts"),
    [
        ({}, ["gateway.example"]),
        ({"LESIONSERVE_METRICS_HOSTS": "*"}, ["*"]),
        ({"LESIONSERVE_METRICS_HOSTS": "10.2.3.4, .internal"}, ["10.2.3.4", ".internal"]),
        ({"LESIONSERVE_METRICS_HOSTS": ""}, []),
    ],
)
def test_metrics_hosts_default_to_allowed_hosts(variable, hosts):
    allowed = {"LESIONSERVE_ALLOWED_HOSTS": "gateway.example"}
    assert Environment.read(GOOD | allowed | variable).metrics_hosts == hosts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LESIONSERVE_SECRET_KEY", "short"),
        ("LESIONSERVE_SERVICE_TOKEN", "short"),
        ("LESIONSERVE_AUDIT_KEY", "short"),
        ("LESIONSERVE_REDIS_URL", "http://127.0.0.1"),
        ("LESIONSERVE_REDIS_URL", "redis://:a-password@cache.example:port/0"),
        ("LESIONSERVE_REDIS_URL", "redis://"),
        ("LESIONSERVE_UPSTREAM_CERTIFICATE", __file__),
        ("LESIONSERVE_MAX_IN_FLIGHT", "0"),
        ("LESIONSERVE_ADDRESS_REQUESTS_PER_MINUTE", "0"),
        ("LESIONSERVE_PUBLIC_DEMO_KEY", "demo"),
        ("LESIONSERVE_LOG_SHARE", "2"),
        ("LESIONSERVE_OTLP_ENDPOINT", ""),
        ("LESIONSERVE_OTLP_ENDPOINT", "collector:4318"),
        ("LESIONSERVE_OTLP_ENDPOINT", "http://user:password@collector"),
        ("LESIONSERVE_TRACE_SHARE", "1.5"),
        ("LESIONSERVE_TRACE_SHARE", "nan"),
        ("LESIONSERVE_RETENTION_DAYS", "999999999"),
        ("LESIONSERVE_UPSTREAM_URL", "ftp://x"),
        ("LESIONSERVE_UPSTREAM_URL", "127.0.0.1:8000"),
        ("LESIONSERVE_UPSTREAM_CA", "/no/such/file"),
        ("LESIONSERVE_UPSTREAM_CA", __file__),
        ("LESIONSERVE_CERTIFICATES", "nginx=/no/such/file"),
        ("LESIONSERVE_CERTIFICATES", f"nginx={__file__}"),
        ("LESIONSERVE_CERTIFICATES", f"nginx={Path(__file__).parent}"),
        ("LESIONSERVE_CERTIFICATES", "/etc/ssl/nginx.pem"),
        ("LESIONSERVE_CERTIFICATES", "nginx="),
        ("LESIONSERVE_CERTIFICATES", "a=/x,a=/y"),
        ("LESIONSERVE_CERTIFICATES", "Nginx edge=/x"),
        ("LESIONSERVE_CERTIFICATES", "upstream_ca=/x"),
        ("LESIONSERVE_ALERTS_TOKEN", "short"),
        ("LESIONSERVE_PROBE_KEY", "ls_0123456789ab_secret"),
        ("LESIONSERVE_PROBE_URL", "gateway.example"),
        ("LESIONSERVE_PROBE_CA", "/no/such/file"),
        ("LESIONSERVE_PROBE_CA", __file__),
        ("LESIONSERVE_PROBE_EVERY_S", "0.5"),
        ("LESIONSERVE_PROBE_EVERY_S", "301"),
        ("LESIONSERVE_ALLOWED_HOSTS", "*"),
        ("LESIONSERVE_ALLOWED_HOSTS", "good.example,,"),
        ("LESIONSERVE_DEBUG", "perhaps"),
        ("LESIONSERVE_DEADLINE_S", "0"),
        ("LESIONSERVE_IMAGE_FORMATS", "JPEG,SVG"),
        ("LESIONSERVE_MAX_IMAGE_BYTES", "-1"),
        ("LESIONSERVE_MAX_IMAGE_PIXELS", "many"),
        ("LESIONSERVE_LOG_LEVEL", "LOUD"),
        ("DATABASE_URL", "mysql://x/y"),
        ("DATABASE_URL", "sqlite://:memory:"),
    ],
)
def test_error_names_setting_without_its_value(name, value):
    with pytest.raises(ImproperlyConfigured) as refusal:
        Environment.read({**GOOD, name: value})
    assert str(refusal.value).startswith(name)
    assert len(value) < 2 or value not in str(refusal.value)


@pytest.mark.parametrize(
    "name", ["LESIONSERVE_SECRET_KEY", "LESIONSERVE_SERVICE_TOKEN", "LESIONSERVE_AUDIT_KEY"]
)
def test_error_names_missing_secret(name):
    with pytest.raises(ImproperlyConfigured, match=f"^{name}: required"):
        Environment.read({key: value for key, value in GOOD.items() if key != name})


PROBE = {
    "LESIONSERVE_PROBE_KEY": str(Token.generate()),
    "LESIONSERVE_PROBE_URL": "https://gateway.example/",
}


def test_probe_needs_key_and_url():
    assert Environment.read(GOOD).probe is None
    probe = Environment.read(GOOD | PROBE).probe
    assert (probe.url, probe.ca, probe.every_s) == ("https://gateway.example", None, 60)
    assert PROBE["LESIONSERVE_PROBE_KEY"] == probe.key
    assert probe.key not in repr(probe)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"LESIONSERVE_PROBE_KEY": None}, "LESIONSERVE_PROBE_KEY"),
        ({"LESIONSERVE_PROBE_URL": None}, "LESIONSERVE_PROBE_URL"),
        ({"LESIONSERVE_PROBE_URL": "http://gateway.example"}, "LESIONSERVE_PROBE_URL"),
    ],
    ids=["no key", "no URL", "plain HTTP"],
)
def test_error_names_missing_part_of_probe(change, name):
    variables = {key: value for key, value in (GOOD | PROBE | change).items() if value}
    with pytest.raises(ImproperlyConfigured, match=f"^{name}: ") as refusal:
        Environment.read(variables)
    assert PROBE["LESIONSERVE_PROBE_KEY"] not in str(refusal.value)


def test_probe_over_plain_http_needs_gateway_that_allows_it():
    plain = {"LESIONSERVE_PROBE_URL": "http://127.0.0.1:8080", "LESIONSERVE_HTTPS_ONLY": "false"}
    assert Environment.read(GOOD | PROBE | plain).probe.url == "http://127.0.0.1:8080"


def test_debug_mode_generates_secrets():
    environment = Environment.read({"LESIONSERVE_DEBUG": "1"})
    secret, other = (environment.secret(environment.secret_key) for _ in range(2))
    assert secret != other
    assert len(secret) >= 50


def test_printed_environment_shows_no_secret():
    assert "kkkk" not in repr(Environment.read(GOOD))


def test_lists_are_split_at_commas():
    environment = Environment.read(
        {**GOOD, "LESIONSERVE_ALLOWED_HOSTS": "a.example, b", "LESIONSERVE_IMAGE_FORMATS": "JPEG"}
    )
    assert environment.allowed_hosts == ["a.example", "b"]
    assert environment.image_limits.formats == ("JPEG",)


def test_endpoint_of_receiver_is_taken_as_given():
    url = "https://collector.example/otlp"
    environment = Environment.read({**GOOD, "LESIONSERVE_OTLP_ENDPOINT": url})
    assert (environment.otlp_endpoint, environment.trace_share) == (url, 0.01)
    assert Environment.read(GOOD).otlp_endpoint is None


def frame_ancestors(value: str) -> list[str]:
    return Environment.read(GOOD | {"LESIONSERVE_FRAME_ANCESTORS": value}).frame_ancestors


def test_no_site_may_frame_pages_by_default():
    assert Environment.read(GOOD).frame_ancestors == []
    assert frame_ancestors("") == []


@pytest.mark.parametrize(
    "origin",
    [
        "https://huggingface.co",
        "https://portal.hospital.example:8443",
        "https://intranet",
        "https://xn--klinik-kln-jcb.example",
        "https://1.example",
        "https://a-b.example:65535",
    ],
)
def test_origin_may_frame_page(origin):
    assert frame_ancestors(origin) == [origin]
    assert frame_ancestors(f" {origin} , https://other.example") == [
        origin,
        "https://other.example",
    ]


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "https:",
        "https://*",
        "https://*.hf.space",
        "https://*.example:8443",
        "https://portal.example:*",
        "http://portal.example",
        "//portal.example",
        "portal.example",
        "'self'",
        "'none'",
        "https://portal.example/",
        "https://portal.example/records",
        "https://portal.example?a",
        "https://portal.example#a",
        "https://user@portal.example",
        "https://Portal.example",
        "https://klinik-köln.example",
        "https://portal.example:0",
        "https://portal.example:080",
        "https://portal.example:65536",
        "https://portal.example:",
        "https://portal..example",
        "https://.example",
        "https://portal.example.",
        "https://-portal.example",
        "https://portal-.example",
        "https://portal_1.example",
        "https://10.2.3.4",
        "https://10.2.3.4:8443",
        "https://[::1]",
        f"https://{'a' * 64}.example",
        "https://portal.example; script-src *",
        "https://portal.example https://other.example",
        "https://portal.example\nX-Header: 1",
        "https://portal.example,",
        ",",
        ",".join(f"https://{number}.example" for number in range(21)),
    ],
)
def test_frame_ancestors_are_https_origins_only(value):
    with pytest.raises(ImproperlyConfigured, match="LESIONSERVE_FRAME_ANCESTORS: "):
        frame_ancestors(value)


DEMO = GOOD | {
    "LESIONSERVE_PUBLIC_DEMO_KEY": str(Token.generate()),
    "LESIONSERVE_ADDRESS_REQUESTS_PER_MINUTE": "10",
    "LESIONSERVE_IDEMPOTENCY_S": "0",
    "LESIONSERVE_METRICS_HOSTS": "",
}


def test_public_demo_shows_its_key():
    assert Environment.read(DEMO).public_demo_key == DEMO["LESIONSERVE_PUBLIC_DEMO_KEY"]
    assert Environment.read(GOOD).public_demo_key is None


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"LESIONSERVE_IDEMPOTENCY_S": "1"}, "LESIONSERVE_IDEMPOTENCY_S=0"),
        ({"LESIONSERVE_METRICS_HOSTS": "*"}, "LESIONSERVE_METRICS_HOSTS empty"),
        ({"LESIONSERVE_DEBUG": "1"}, "LESIONSERVE_DEBUG off"),
    ],
)
def test_public_demo_refuses_what_others_need(variables, reason):
    with pytest.raises(ImproperlyConfigured, match=reason):
        Environment.read(DEMO | variables)


def test_public_demo_requires_limit_by_address():
    variables = {
        name: value
        for name, value in DEMO.items()
        if name != "LESIONSERVE_ADDRESS_REQUESTS_PER_MINUTE"
    }
    with pytest.raises(ImproperlyConfigured, match="LESIONSERVE_ADDRESS_REQUESTS_PER_MINUTE set"):
        Environment.read(variables)


def test_sqlite_options_wait_for_locks_and_use_wal():
    options = Environment.read(GOOD).databases()["default"]["OPTIONS"]
    assert options["timeout"] == 5
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]


def test_postgresql_settings_come_from_url():
    url = "postgresql://user:secret@db.example:5433/records?sslmode=verify-full"
    database = Environment.read({**GOOD, "DATABASE_URL": url}).databases()["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example", 5433, "records")
    assert database["OPTIONS"].items() >= {"sslmode": "verify-full", "connect_timeout": 5}.items()


def test_example_file_lists_every_setting_and_default():
    example = Path(__file__).parents[3] / "configs" / "gateway.env.example"
    lines = example.read_text().splitlines()
    shown = [line.removeprefix("# ") for line in lines if re.match(r"(# )?[A-Z_]+=", line)]
    names = {line.partition("=")[0] for line in shown}
    assert names == {field.alias for field in Environment.model_fields.values()} | {FOLDER}
    set_ = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=.", line))
    assert Environment.read({**GOOD, **set_}) == Environment.read(GOOD)


@pytest.mark.parametrize("name", SECRETS)
def test_secret_is_read_from_file(tmp_path, name):
    values = {
        "DATABASE_URL": "postgresql://clinic:secret@db.example/lesionserve",
        "LESIONSERVE_REDIS_URL": "rediss://:secret@cache.example:6379/0",
        "LESIONSERVE_PROBE_KEY": PROBE["LESIONSERVE_PROBE_KEY"],
    }
    value = values.get(name, "s" * 50)
    (tmp_path / "secret").write_text(f"{value}\n")
    whole = GOOD | OIDC | {"LESIONSERVE_PROBE_URL": "https://gateway.example"} | PROBE
    variables = whole | {name: ""}
    given = Environment.read(variables | {f"{name}_FILE": str(tmp_path / "secret")})
    assert given == Environment.read(variables | {name: value})


def test_every_secret_has_a_file_variable():
    fields = Environment.model_fields.values()
    secret = {field.alias for field in fields if "Secret" in str(field.annotation)}
    secret.remove("LESIONSERVE_PUBLIC_DEMO_KEY")  # every visitor gets it
    assert secret < set(SECRETS)
    assert set(SECRETS) <= {field.alias for field in fields}
    example = (ROOT / "configs/gateway.env.example").read_text().partition("\n\n")[0]
    assert set(re.findall(r"\w*(?:KEY|TOKEN|URL|SECRET)\b", example)) == set(SECRETS)


def test_wrong_secret_files_are_named_in_one_error(tmp_path):
    variables = GOOD | {"LESIONSERVE_AUDIT_KEY_FILE": __file__, "DATABASE_URL_FILE": "/no/such"}
    with pytest.raises(ImproperlyConfigured) as refusal:
        Environment.read(variables)
    lines = str(refusal.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "LESIONSERVE_AUDIT_KEY_FILE",
        "DATABASE_URL_FILE",
    ]
    assert "a" * 32 not in str(refusal.value)


def test_short_secret_of_file_is_refused(tmp_path):
    (tmp_path / "key").write_text("short")
    variables = {name: value for name, value in GOOD.items() if name != "LESIONSERVE_AUDIT_KEY"}
    variables["LESIONSERVE_AUDIT_KEY_FILE"] = str(tmp_path / "key")
    with pytest.raises(ImproperlyConfigured, match=r"^LESIONSERVE_AUDIT_KEY: .*32"):
        Environment.read(variables)


GROUPS = '{"cn=ward 7,o=clinic": {"organisation": "St. Mary", "role": "clinician"}}'


def test_second_factor_and_single_sign_on_are_off_by_default():
    environment = Environment.read(GOOD)
    assert (environment.second_factor, environment.require_second_factor) == (False, frozenset())
    assert environment.openid is None


@pytest.mark.parametrize(
    ("value", "roles"),
    [
        ("all", {"clinician", "auditor", "operator", "admin"}),
        ("operator, admin", {"operator", "admin"}),
        ("", set()),
    ],
)
def test_roles_that_need_second_factor(value, roles):
    given = {"LESIONSERVE_SECOND_FACTOR": "true", "LESIONSERVE_REQUIRE_SECOND_FACTOR": value}
    assert Environment.read(GOOD | given).require_second_factor == roles


def test_single_sign_on_is_read():
    openid = Environment.read(GOOD | OIDC | {"LESIONSERVE_OIDC_GROUPS": GROUPS}).openid
    assert openid.issuer == "https://login.example/realm"
    assert openid.places["cn=ward 7,o=clinic"].organisation == "St. Mary"
    assert (openid.links_by_email, openid.second_factor) == (False, "claimed")
    assert "a client's secret" not in repr(openid)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"LESIONSERVE_REQUIRE_SECOND_FACTOR": "all"}, "LESIONSERVE_SECOND_FACTOR=true"),
        ({"LESIONSERVE_REQUIRE_SECOND_FACTOR": "nurse"}, "some of clinician"),
        ({"LESIONSERVE_REQUIRE_SECOND_FACTOR": "all,admin"}, "some of clinician"),
        ({"LESIONSERVE_SECOND_FACTOR": "perhaps"}, "LESIONSERVE_SECOND_FACTOR"),
        ({"LESIONSERVE_OIDC_ISSUER": "http://login.example"}, "https:// URL is needed"),
        ({"LESIONSERVE_OIDC_ISSUER": "login.example"}, "https:// URL"),
        ({"LESIONSERVE_OIDC_CLIENT_SECRET": None}, "LESIONSERVE_OIDC_CLIENT_SECRET: required"),
        ({"LESIONSERVE_OIDC_ISSUER": None}, "LESIONSERVE_OIDC_ISSUER: required with"),
        ({"LESIONSERVE_OIDC_SCOPES": "profile"}, "one of them is `openid`"),
        ({"LESIONSERVE_OIDC_GROUPS": "nurses=clinician"}, "write JSON such as"),
        ({"LESIONSERVE_OIDC_GROUPS": '{"a": {"organisation": "b"}}'}, "LESIONSERVE_OIDC_GROUPS"),
        (
            {"LESIONSERVE_OIDC_GROUPS": '{"a": {"organisation": "b", "role": "root"}}'},
            "LESIONSERVE_OIDC_GROUPS",
        ),
        ({"LESIONSERVE_OIDC_SECOND_FACTOR": "sometimes"}, "LESIONSERVE_OIDC_SECOND_FACTOR"),
        ({"LESIONSERVE_OIDC_CA": __file__}, "LESIONSERVE_OIDC_CA"),
        ({"LESIONSERVE_PASSWORDS": "nobody"}, "LESIONSERVE_PASSWORDS"),
    ],
    ids=str,
)
def test_wrong_sign_in_setting_is_named(changes, words):
    given = {name: value for name, value in (GOOD | OIDC | changes).items() if value is not None}
    with pytest.raises(ImproperlyConfigured, match=re.escape(words)) as raised:
        Environment.read(given)
    assert "a client's secret" not in str(raised.value)


def test_passwords_for_superusers_need_provider():
    limited = GOOD | {"LESIONSERVE_PASSWORDS": "superusers"}
    assert Environment.read(limited | OIDC).passwords == "superusers"
    with pytest.raises(ImproperlyConfigured, match="needs LESIONSERVE_OIDC_ISSUER"):
        Environment.read(limited)


def test_provider_on_this_machine_may_use_plain_http():
    issuer = {"LESIONSERVE_OIDC_ISSUER": "http://localhost:8080/realm"}
    assert Environment.read(GOOD | OIDC | issuer).openid.issuer == "http://localhost:8080/realm"
