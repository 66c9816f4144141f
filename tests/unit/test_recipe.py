"""The generator of the demo model's images."""

import numpy as np
import pytest

from serve_app.paths import ROOT
from weights.recipe.colposcopy import generate
from weights.recipe.lesions import CLASS_NAMES


def test_seed_gives_same_scene_each_time():
    first, second = generate(7, 160, 120), generate(7, 160, 120)
    np.testing.assert_array_equal(first.image, second.image)
    assert [lesion.class_id for lesion in first.instances] == [
        lesion.class_id for lesion in second.instances
    ]


@pytest.mark.parametrize("seed", range(6))
def test_masks_lie_in_picture_and_do_not_overlap(seed):
    scene = generate(seed, 160, 120)
    assert scene.image.shape == (120, 160, 3)
    assert scene.image.dtype == np.uint8
    cover = np.zeros((120, 160), dtype=int)
    for lesion in scene.instances:
        assert lesion.class_id in range(len(CLASS_NAMES))
        assert lesion.mask.shape == (120, 160)
        assert lesion.mask.any()
        cover += lesion.mask
    assert cover.max(initial=0) <= 1


def test_demo_bundle_names_classes_of_recipe():
    from pipeline.bundle.bundle import open_bundle

    assert open_bundle(ROOT / "weights" / "demo").class_names == list(CLASS_NAMES)


def test_demo_bundle_is_small():
    files = (path for path in (ROOT / "weights" / "demo").rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in files) <= 20_000_000
