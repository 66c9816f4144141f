import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray._common.logging_constants import LOGRECORD_STANDARD_ATTRS
from ray.serve.schema import LoggingConfig

from serve_app.config import ConfigError, LoggingOptions, load_profile
from serve_app.paths import ROOT

LOCAL = ROOT / "configs/serve/local.yaml"


def refusal(folder: Path, **changes: Any) -> str:
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(LOCAL.read_text()) | changes))
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    return str(caught.value).removeprefix(f"{path}: ")


def test_profile_is_read_without_ray():
    code = (
        "import sys; import serve_app.__main__; from serve_app.config import load_profile; "
        "from pathlib import Path; load_profile(Path(sys.argv[1])); print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, LOCAL], capture_output=True, cwd=ROOT)
    assert done.stdout == b"False\n", done.stderr


def test_logging_has_options_of_ray():
    assert set(LoggingOptions.model_fields) == set(LoggingConfig.model_fields)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encoding": "TEXT"},
        {"log_level": 10, "logs_dir": "/logs"},
        {"log_level": "WARN", "enable_access_log": False},
        {"additional_log_standard_attrs": sorted(LOGRECORD_STANDARD_ATTRS)},
    ],
)
def test_logging_reaches_ray_as_written(options):
    ours = LoggingOptions.model_validate(options).for_ray()
    assert LoggingConfig.model_validate(ours) == LoggingConfig.model_validate(options)


@pytest.mark.parametrize(
    "options",
    [
        {"encoding": "XML"},
        {"log_level": "LOUD"},
        {"log_level": 15},
        {"additional_log_standard_attrs": ["patient"]},
    ],
)
def test_rejects_logging_that_ray_rejects(tmp_path, options):
    (key,) = options
    assert refusal(tmp_path, logging_config=options).startswith(f"logging_config.{key}")
    with pytest.raises(ValueError, match=key):
        LoggingConfig.model_validate(options)


@pytest.mark.parametrize("prefix", ["", "predict", "/predict/", "/{name}"])
def test_rejects_route_prefix_that_ray_rejects(tmp_path, prefix):
    (application,) = yaml.safe_load(LOCAL.read_text())["applications"]
    applications = [application | {"route_prefix": prefix}]
    assert refusal(tmp_path, applications=applications).startswith("applications.0.route_prefix: ")


def test_rejects_application_without_name(tmp_path):
    (application,) = yaml.safe_load(LOCAL.read_text())["applications"]
    applications = [application | {"name": ""}]
    assert refusal(tmp_path, applications=applications).startswith("applications.0.name: ")
