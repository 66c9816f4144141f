from pipeline.observation import observe
from pipeline.schemas import Prediction
from tests.quality import statistics
from tests.unit.pipeline.bundle.test_profile import answer


def test_observation_holds_what_is_watched_of_an_image():
    observation = observe(answer(0.9, 0.5))
    assert observation["input"] == {"megapixels": 0.003072, "aspect": 1.33333}
    assert observation["quality"] == statistics().model_dump()
    assert observation["detections"] == {"count": 2}
    assert observation["scores"] == {"highest": 0.9, "mean": 0.7}
    assert observation["classes"] == {"LSIL": 0, "HSIL": 2}
    assert observation["areas"] == {"largest": 0.0325521, "sum": 0.0651042}


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
