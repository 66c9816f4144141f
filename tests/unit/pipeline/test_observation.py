import pytest

from pipeline.observation import observe
from pipeline.schemas import Detection, Metrics, Prediction
from tests.quality import statistics
from tests.unit.pipeline.bundle.test_profile import answer


def test_observation_holds_what_is_watched_of_an_image():
    observation = observe(answer(0.9, 0.5))
    assert observation["input"] == {"megapixels": 0.003072, "aspect": 1.33333}
    assert observation["quality"] == statistics().model_dump()
    assert observation["detections"] == {"count": 2}
    assert observation["scores"] == {"highest": 0.9, "lowest": 0.5, "mean": 0.7}
    assert observation["classes"] == {"LSIL": 0, "HSIL": 2}


def with_boxes(*boxes: tuple[float, float, float, float], mask_area: int | None) -> Prediction:
    """Return an answer of an image of 64x48 pixels with lesions in these boxes."""
    prediction = answer(0.9)
    (template,) = (lesion.model_dump() for lesion in prediction.detections)
    lesions = [
        Detection.model_validate(
            template
            | {"id": number, "box": box, "mask_area": mask_area}
            | {"box_area": (box[2] - box[0]) * (box[3] - box[1]), "mask": None}
        )
        for number, box in enumerate(boxes)
    ]
    metrics = Metrics.of(lesions, prediction.metrics.class_distribution)
    return prediction.model_copy(update={"detections": lesions, "metrics": metrics})


def test_sizes_are_shares_of_the_image():
    areas = observe(with_boxes((2, 2, 34, 14), (0, 20, 8, 28), mask_area=48))["areas"]
    sizes = {name: areas[name] for name in ("largest", "smallest", "mean", "sum")}
    assert sizes == {
        "largest": 0.125,
        "smallest": 0.0208333,
        "mean": 0.0729167,
        "sum": 0.145833,
    }


def test_shapes_are_those_of_boxes_and_of_masks_in_them():
    areas = observe(with_boxes((2, 2, 34, 14), (0, 20, 8, 28), mask_area=48))["areas"]
    assert areas["elongation"] == 1.83333  # 32 by 12, and 8 by 8
    assert areas["box_fill"] == 0.4375  # 48 of 384, and of 64
    without = observe(with_boxes((2, 2, 34, 14), mask_area=None))["areas"]
    assert "box_fill" not in without


def test_mask_never_fills_more_than_its_box():
    """A mask has whole pixels, those that its box cuts through, too."""
    areas = observe(with_boxes((0.4, 0.3, 3.6, 3.7), mask_area=16))["areas"]
    assert areas["box_fill"] == 1


def test_box_narrower_than_a_pixel_is_long_but_finite():
    areas = observe(with_boxes((10, 10, 10, 30), mask_area=0))["areas"]
    assert (areas["elongation"], areas["box_fill"]) == (20, 0)


def test_places_are_shares_of_width_and_height():
    areas = observe(with_boxes((0, 12, 32, 36), (32, 0, 64, 24), mask_area=1))["areas"]
    assert (areas["centre_x"], areas["centre_y"]) == (0.5, 0.375)


@pytest.mark.parametrize(
    "box", [(0.3, 9, 20, 20), (9, 0, 20, 20), (9, 9, 64, 20), (9, 9, 20, 47.8)]
)
def test_lesion_at_an_edge_is_counted(box):
    areas = observe(with_boxes(box, (2, 2, 62, 46), mask_area=1))["areas"]
    assert areas["edge_share"] == 0.5


def test_overlap_is_that_of_the_two_boxes_that_overlap_most():
    first, half, apart = (4, 4, 24, 24), (4, 14, 24, 34), (40, 30, 50, 40)
    assert observe(with_boxes(first, half, apart, mask_area=1))["areas"]["overlap"] == 0.333333
    assert observe(with_boxes(first, apart, mask_area=1))["areas"]["overlap"] == 0
    assert observe(with_boxes(first, mask_area=1))["areas"]["overlap"] == 0


def test_image_without_lesions_has_no_scores_or_areas():
    observation = observe(answer())
    assert (observation["scores"], observation["areas"]) == ({}, {})
    assert observation["detections"] == {"count": 0}


def test_distance_is_observed_where_the_answer_has_it():
    assert observe(answer())["embedding"] == {}
    far = answer().model_copy(update={"embedding_distance": 6.5})
    assert observe(far)["embedding"] == {"distance": 6.5}


def test_withheld_image_is_observed_by_its_input_and_quality_alone():
    values = answer().model_dump()
    values["quality"] |= {"gradable": False, "reasons": ["too_dark"], "withheld": True}
    observation = observe(Prediction.model_validate(values))
    assert {name for name, group in observation.items() if group} == {"input", "quality"}
    assert observation.keys() == observe(answer()).keys()


def test_answer_of_older_serving_half_has_no_quality():
    assert observe(answer().model_copy(update={"quality": None}))["quality"] == {}
