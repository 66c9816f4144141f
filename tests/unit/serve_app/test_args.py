import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve import Application, Deployment
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from serve_app.app import build_app
from serve_app.args import AppArgs
from serve_app.config import ConfigError, load_profile
from serve_app.paths import ROOT
from serve_app.tokens import TokenError, Tokens


def deployments(application: Application) -> Iterator[Deployment]:
    bound = application._bound_deployment
    yield bound
    for argument in bound.init_args:
        if isinstance(argument, Application):
            yield from deployments(argument)


PROFILES = sorted((ROOT / "configs/serve").glob("*.yaml"))
LOCAL = ROOT / "configs/serve/local.yaml"


@pytest.fixture
def document() -> dict[str, Any]:
    return yaml.safe_load(LOCAL.read_text())


def args_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["applications"][0]["args"]


def load(document: dict[str, Any], folder: Path) -> AppArgs:
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_profile(path).application.args


def test_profiles_for_each_kind_of_machine_exist():
    assert [path.stem for path in PROFILES] == ["cluster-cpu", "cluster", "gpu", "local", "space"]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profile_is_accepted_by_ray_and_lesionserve(path):
    ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    args = load_profile(path).application.args
    assert args.graph.layout == ("fused" if args.model.device == "cpu" else "staged")


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profile_queues_two_batches_at_predictor(path):
    args = load_profile(path).application.args
    assert args.graph.model.max_ongoing_requests >= 2 * args.model.max_batch_size


def test_local_profile_fits_two_cores_without_gpu():
    graph = load_profile(LOCAL).application.args.graph
    assert graph.ingress.num_cpus <= 2
    assert graph.ingress.num_gpus == 0


def test_relative_bundle_path_starts_at_installation():
    assert load_profile(LOCAL).application.args.model.bundle == ROOT / "weights/demo"


def _set(document: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    target: Any = document
    for key in parents:
        target = target[int(key) if key.isdigit() else key]
    target[last] = value


A = "applications.0."


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("http_optons", {}),
        ("http_options.hots", "127.0.0.1"),
        ("http_options.port", 0),
        ("logging_config.level", "INFO"),
        (A + "runtime_env", {}),
        (A + "deployments", []),
        (A + "import_path", "somebody.elses:app"),
        (A + "args.modle", {}),
        (A + "args.model.bundel", "x"),
        (A + "args.model.engine", "tensorflow"),
        (A + "args.model.max_batch_size", 0),
        (A + "args.model.threads", 0),
        (A + "args.model.golden_every_s", 0),
        (A + "args.model.weights_every_s", 0),
        (A + "args.image.max_byts", 1),
        (A + "args.deadline.max_s", -1),
        (A + "args.threads", "many"),
    ],
)
def test_error_names_wrong_key_or_value(document, tmp_path, key, value):
    _set(document, key, value)
    with pytest.raises(ConfigError) as caught:
        load(document, tmp_path)
    assert f"{tmp_path / 'profile.yaml'}: {key}: " in str(caught.value)


def test_error_names_misspelt_key_before_missing_key(document, tmp_path):
    model = args_of(document)["model"]
    model["treads"] = model.pop("threads")
    with pytest.raises(ConfigError, match="treads: Extra inputs are not permitted"):
        load(document, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layout", "nested"),
        ("ingress.num_cpu", 1),
        ("ingress.num_cpus", 0),
        ("pipeline.max_queued_requests", -1),
        ("ingress.autoscaling", {"min_replicas": 1, "max_replicas": 2}),
    ],
)
def test_error_names_wrong_size(document, tmp_path, key, value):
    _set(args_of(document)["graph"], key, value)
    with pytest.raises(ConfigError, match=key):
        load(document, tmp_path)


def test_size_is_either_fixed_or_autoscaled(document, tmp_path):
    scaling = {"min_replicas": 1, "max_replicas": 2, "target_ongoing_requests": 2}
    _set(args_of(document)["graph"], "ingress.autoscaling", scaling)
    with pytest.raises(ConfigError, match="either num_replicas or autoscaling"):
        load(document, tmp_path)


def test_default_deadline_above_maximum_is_refused(document, tmp_path):
    _set(args_of(document), "deadline", {"default_s": 60, "max_s": 30})
    with pytest.raises(ConfigError, match="default_s is larger than max_s"):
        load(document, tmp_path)


def test_tls_key_without_certificate_is_refused(document, tmp_path):
    _set(document, "http_options.ssl_keyfile", "key.pem")
    with pytest.raises(ConfigError, match="ssl_keyfile and ssl_certfile belong together"):
        load(document, tmp_path)


def test_layout_requires_sizes_of_its_deployments(document, tmp_path):
    graph = args_of(document)["graph"]
    graph["layout"] = "staged"
    del graph["pipeline"]
    with pytest.raises(ConfigError, match=r"staged\.preprocess: Field required"):
        load(document, tmp_path)


def test_missing_or_malformed_profile_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load_profile(tmp_path / "nowhere.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_profile(broken)


def test_profile_is_read_as_utf8_in_any_locale(tmp_path):
    path = tmp_path / "profile.yaml"
    path.write_bytes((ROOT / "configs/serve/local.yaml").read_bytes() + "# größe\n".encode())
    code = "import sys; from pathlib import Path; from serve_app.config import load_profile; "
    code += "load_profile(Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "0", "LC_ALL": "C"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", [b"a: \xff", b"a: \x00", None])
def test_profile_that_is_no_text_is_refused(tmp_path, content):
    path = Path("/dev/zero") if content is None else tmp_path / "profile.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not YAML"):
        load_profile(path)


def test_autoscaled_size_gives_options_of_serve():
    args = load_profile(ROOT / "configs/serve/gpu.yaml").application.args
    options = args.graph.predictor.options()
    assert options["ray_actor_options"] == {"num_cpus": 2, "num_gpus": 0.5}
    assert options["autoscaling_config"]["max_replicas"] == 1
    assert "num_replicas" not in options


def test_label_selector_reaches_ray(document):
    args_of(document)["graph"]["ingress"]["label_selector"] = {"lesionserve/group": "cpu"}
    args = AppArgs.model_validate(args_of(document))
    options = args.graph.ingress.options()
    assert options["ray_actor_options"]["label_selector"] == {"lesionserve/group": "cpu"}
    assert "label_selector" not in options
    (deployment,) = deployments(build_app(args))
    assert deployment.ray_actor_options["label_selector"] == {"lesionserve/group": "cpu"}


@pytest.mark.parametrize("selector", [{"a b": "c"}, {"a": ""}, {"a": "b c"}, {"/a": "b"}])
def test_malformed_label_selector_is_refused(document, tmp_path, selector):
    _set(args_of(document), "graph.ingress.label_selector", selector)
    with pytest.raises(ConfigError, match=r"ingress\.label_selector"):
        load(document, tmp_path)


def test_gpu_holds_predictors_of_two_versions():
    predictor = load_profile(ROOT / "configs/serve/gpu.yaml").application.args.graph.predictor
    assert 2 * predictor.most_replicas * predictor.num_gpus <= 1


def test_rejects_shutdown_timeout_below_deadline(document, tmp_path):
    _set(args_of(document), "graph.ingress.graceful_shutdown_timeout_s", 59)
    with pytest.raises(ConfigError, match=r"ingress\.graceful_shutdown_timeout_s is below"):
        load(document, tmp_path)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_replaced_replica_can_finish_accepted_requests(path):
    application = load_profile(path).application
    for deployment in deployments(build_app(application.args)):
        config = deployment._deployment_config
        assert config.graceful_shutdown_timeout_s >= application.args.deadline.max_s
        assert config.max_surge_percent > 0


def test_settings_are_frozen(document):
    args = AppArgs.model_validate(copy.deepcopy(args_of(document)))
    with pytest.raises(ValueError, match="frozen"):
        args.threads = 3


@pytest.mark.parametrize("value", [None, "", " , "])
def test_missing_service_token_is_refused(monkeypatch, value):
    monkeypatch.delenv("LESIONSERVE_SERVICE_TOKENS", raising=False)
    if value is not None:
        monkeypatch.setenv("LESIONSERVE_SERVICE_TOKENS", value)
    with pytest.raises(TokenError, match="LESIONSERVE_SERVICE_TOKENS"):
        Tokens.from_environment()


def test_short_service_token_is_refused(monkeypatch):
    monkeypatch.setenv("LESIONSERVE_SERVICE_TOKENS", "t" * 32 + ",secret")
    with pytest.raises(TokenError, match="32 characters"):
        Tokens.from_environment()


def test_look_back_equal_to_metrics_interval_is_refused(document, tmp_path):
    scaling = {"min_replicas": 1, "max_replicas": 2, "target_ongoing_requests": 2}
    size = args_of(document)["graph"]["ingress"]
    del size["num_replicas"]
    size["autoscaling"] = scaling | {"look_back_period_s": 5, "metrics_interval_s": 5}
    with pytest.raises(ConfigError, match="look_back_period_s is not longer"):
        load(document, tmp_path)


def test_autoscaling_options_reach_ray():
    size = load_profile(ROOT / "configs/serve/gpu.yaml").application.args.graph.predictor
    config = size.options()["autoscaling_config"]
    assert AutoscalingConfig.model_validate(config).look_back_period_s == 3
    assert set(config) <= set(AutoscalingConfig.model_fields)


def test_self_checks_are_switched_off_by_null(document):
    model = args_of(document)["model"]
    del model["golden_every_s"], model["weights_every_s"]
    defaults = AppArgs.model_validate(args_of(document)).model
    assert (defaults.golden_every_s, defaults.weights_every_s) == (6 * 3600, 24 * 3600)
    model |= {"golden_every_s": None, "weights_every_s": None}
    off = AppArgs.model_validate(args_of(document)).model
    assert (off.golden_every_s, off.weights_every_s) == (None, None)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_shipped_profile_runs_in_float32(path):
    assert load_profile(path).application.args.model.precision == "float32"


def test_precision_may_be_that_of_bundle(document, tmp_path):
    _set(args_of(document), "model.precision", "auto")
    assert load(document, tmp_path).model.precision == "auto"
    _set(args_of(document), "model.precision", "fastest")
    with pytest.raises(ConfigError, match=r"model\.precision"):
        load(document, tmp_path)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_replicas_need_no_runtime_environment(path):
    for deployment in deployments(build_app(load_profile(path).application.args)):
        assert not deployment.ray_actor_options.get("runtime_env")
