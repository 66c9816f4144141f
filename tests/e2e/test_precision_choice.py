"""A bundle that chooses its precision, from packing it to the answer of `lesionserve up`."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from cluster.paths import DEMO_BUNDLE, LOCAL_PROFILE
from pipeline.bundle.bundle import open_bundle
from pipeline.schemas import Prediction
from tests.e2e.up import COMMAND, running
from weights.recipe.dataset import write_dataset
from weights.recipe.lesions import CLASS_NAMES

pytestmark = pytest.mark.slow

# Of the recipe, beyond the images that the model was trained on and those in its bundle.
FIRST_SEED, IMAGES = 1_000_400, 30


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the demo model with a choice of its precision, and return the bundle's folder."""
    folder = tmp_path_factory.mktemp("choice")
    write_dataset(folder / "data", FIRST_SEED, IMAGES, workers=1)
    golden = [f"--golden={path}" for path in sorted(DEMO_BUNDLE.glob("golden/*.jpg"))[:2]]
    done = lesionserve(
        ["pack", folder / "bundle", "--name", "demo", "--version", "chosen", *golden, "--half"]
        + ["--config", DEMO_BUNDLE / "mask_rcnn_config.yaml"]
        + ["--weights", DEMO_BUNDLE / "model.pth", "--classes", ",".join(CLASS_NAMES)]
        + ["--accuracy", folder / "data/annotations.json", "--images", folder / "data/images"]
        + ["--max-loss", "0.05"]
    )
    assert done.returncode == 0, done.stderr
    return folder / "bundle"


def lesionserve(arguments: Sequence[object]) -> subprocess.CompletedProcess[str]:
    command = [str(COMMAND), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_figures_are_those_of_a_trained_model(bundle: Path) -> None:
    choice = open_bundle(bundle).manifest.precision_choice
    assert choice is not None
    assert choice.images == IMAGES
    float32, bfloat16 = choice.measured
    for kind in ("box", "mask"):
        exact, lower = getattr(float32, kind), getattr(bfloat16, kind)
        assert exact.ap > 0.6
        assert abs(lower.loss) < 0.02
        assert lower.loss_low <= lower.loss <= lower.loss_high
    assert bfloat16.within_loss


@pytest.mark.cluster
def test_up_answers_in_chosen_precision(bundle: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    text = LOCAL_PROFILE.read_text()
    profile.write_text(text.replace("device: cpu", "device: cpu\n        precision: auto"))
    choice = open_bundle(bundle).manifest.precision_choice
    assert choice is not None
    with running(tmp_path, "--config", str(profile), "--bundle", str(bundle)) as up:
        assert f"the model runs in {choice.chosen}, which was chosen when" in up.output
        answer: httpx.Response = up.post()
        assert answer.status_code == 200, answer.text
        model = Prediction.model_validate_json(answer.content).model
        assert (model.precision, model.engine) == (choice.chosen, "openvino")
    refused = lesionserve(["up", "--config", profile, "--data", tmp_path / "other"])
    assert refused.returncode == 1
    assert "precision 'auto' needs a choice" in refused.stderr
