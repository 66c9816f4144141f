import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.engines.torch_engines import open_engine
from pipeline.errors import (
    BrokenImage,
    BundleError,
    ImageTooLarge,
    OutOfMemory,
    PredictionFailed,
)
from pipeline.image.decode import decode
from pipeline.image.resize import Resize
from pipeline.schemas import Prediction, PredictOptions
from serve_app import stages
from serve_app.args import AppArgs
from serve_app.fused_pipeline import FusedPipeline
from serve_app.self_check import SelfCheckFailed
from serve_app.stages import Postprocess, Predictor, Preprocess
from tests.fakes import (
    CORRUPTS,
    FAILS,
    MANIFEST,
    FakeBundle,
    open_embedding_bundle,
    open_fake_bundle,
    open_golden_bundle,
    open_limited_bundle,
    open_strict_bundle,
    open_unreproducible_bundle,
    png,
)
from tests.models import write_model
from tests.unit.serve_app.recording import RecordingMetrics

QUEUE = {"max_ongoing_requests": 8, "max_queued_requests": 8}
SIZE = QUEUE | {"num_replicas": 1, "num_cpus": 0.1}


def app_args(**changes) -> AppArgs:
    return AppArgs.model_validate(
        {
            "model": {"bundle": "nowhere", "threads": 2, "max_batch_size": 4},
            "graph": {"layout": "fused", "ingress": SIZE, "pipeline": QUEUE},
            "threads": 1,
        }
        | changes
    )


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(app_args(), open_fake_bundle)


@pytest.fixture
async def prepared():
    return await Preprocess(app_args(), open_fake_bundle)(png())


async def test_preprocess_decodes_and_resizes():
    prepared = await Preprocess(app_args(), open_fake_bundle)(png(width=40, height=20))
    assert prepared.source.info.format == "PNG"
    assert prepared.source.pixels.shape == (20, 40, 3)
    assert prepared.model_input.pixels.shape == (20, 40, 3)
    assert prepared.took_ms > 0


async def test_preprocess_raises_reason_for_refused_image():
    preprocess = Preprocess(app_args(image={"max_pixels": 100}), open_fake_bundle)
    with pytest.raises(ImageTooLarge):
        await preprocess(png())
    with pytest.raises(BrokenImage):
        await preprocess(png(width=8, height=8)[:-20])


async def test_predicted_names_its_model(predictor, prepared):
    predicted = await predictor(prepared)
    assert len(predicted.instances) == 1
    assert (predicted.model.name, predicted.model.engine) == ("fake", "fake")
    assert predicted.class_names == ("LSIL", "HSIL")


class RgbBundle(FakeBundle):
    """The next version of the fake, which takes smaller images with their channels turned."""

    @property
    def resize(self) -> Resize:
        return Resize(shortest_edge=10, longest_edge=20, channel_order="RGB")


async def test_predictor_resizes_input_of_another_version(prepared):
    predictor = Predictor(app_args(), lambda path: RgbBundle(path, MANIFEST))
    seen = []
    predict = predictor._engine.predict
    predictor._engine.predict = lambda inputs: (seen.extend(inputs), predict(inputs))[1]
    predicted = await predictor(prepared)
    expected = RgbBundle(Path("nowhere"), MANIFEST).resize(prepared.source.pixels)
    assert np.array_equal(seen[0].pixels, expected.pixels)
    assert predicted.input_size == expected.pixels.shape[:2] == (10, 20)
    answer = await Postprocess(app_args())("id", prepared, predicted, PredictOptions())
    assert json.loads(answer)["detections"][0]["box"] == [0, 0, 20, 20]


async def test_concurrent_images_form_batches(predictor, prepared):
    await asyncio.gather(*(predictor(prepared) for _ in range(6)))
    sizes = predictor._engine.batch_sizes
    assert sum(sizes) == 6
    assert max(sizes) == 4


async def test_image_on_which_model_fails_fails_alone(predictor, prepared):
    bad = await Preprocess(app_args(), open_fake_bundle)(png(FAILS))
    answers = await asyncio.gather(
        *(predictor(image) for image in (prepared, bad, prepared)), return_exceptions=True
    )
    assert isinstance(answers[1], PredictionFailed)
    assert [len(answers[0].instances), len(answers[2].instances)] == [1, 1]


async def test_model_out_of_memory_raises_overloaded_and_goes_on(predictor, prepared):
    predict = predictor._engine.predict
    predictor._engine.predict = lambda inputs: _raise(OutOfMemory("no memory"))
    with pytest.raises(Exception, match="no memory") as caught:
        await predictor(prepared)
    assert caught.value.status == 503
    predictor._engine.predict = predict
    assert len((await predictor(prepared)).instances) == 1


def _raise(error: Exception) -> None:
    raise error


def test_predictor_does_not_start_if_golden_cases_differ():
    with pytest.raises(BundleError, match="golden case"):
        Predictor(app_args(), open_unreproducible_bundle)


def test_model_runs_with_configured_threads(tmp_path):
    config, weights = write_model(tmp_path)

    class TorchBundle(FakeBundle):
        def load_engine(self, engine="auto", device="auto", precision="float32", threads=None):
            return open_engine(config, weights, "portable", "cpu", precision, threads)

    model = {"bundle": "nowhere", "threads": 3, "max_batch_size": 4}
    before = torch.get_num_threads()
    predictor = Predictor(app_args(model=model), lambda path: TorchBundle(path, MANIFEST))
    assert predictor._pool.submit(torch.get_num_threads).result() == 3
    torch.set_num_threads(before)


async def test_predictor_returns_manifest(predictor):
    assert (await predictor.manifest())["class_names"] == ["LSIL", "HSIL"]


async def test_manifest_says_how_the_model_runs(predictor):
    manifest = await predictor.manifest()
    assert (manifest["engine"], manifest["precision"]) == ("fake", "float32")
    assert manifest["precision_choice"] is None


def test_log_says_in_which_precision_the_model_runs(caplog):
    with caplog.at_level("INFO", logger="ray.serve"):
        Predictor(app_args(), open_fake_bundle)
    (record,) = (record for record in caplog.records if record.msg == "the model is loaded")
    assert record.__dict__["precision"] == record.__dict__["asked_precision"] == "float32"


async def test_endless_batch_makes_predictor_unhealthy(predictor, monkeypatch):
    await predictor.check_health()
    monkeypatch.setattr(predictor._batcher, "busy_for", lambda: 121.0)
    with pytest.raises(PredictionFailed, match="121 s"):
        await predictor.check_health()


async def test_postprocess_writes_prediction_in_source_pixels(predictor, prepared):
    predicted = await predictor(prepared)
    options = PredictOptions(masks="polygon", visualization="none")
    answer = await Postprocess(app_args())("some-id", prepared, predicted, options, "case-7")
    prediction = Prediction.model_validate_json(answer)
    assert (prediction.request_id, prediction.correlation_id) == ("some-id", "case-7")
    assert (prediction.options, prediction.below_threshold) == (options, 0)
    assert prediction.model.bundle_sha256 == MANIFEST.digest
    assert prediction.detections[0].box == (0, 0, 20, 20)
    assert prediction.detections[0].label == "HSIL"
    assert prediction.metrics.class_distribution == {"LSIL": 0, "HSIL": 1}
    assert set(prediction.timings_ms) == {"preprocess", "predictor", "postprocess"}


async def test_answer_counts_detections_below_threshold(predictor, prepared):
    options = PredictOptions(score_threshold=1)
    answer = await Postprocess(app_args())("id", prepared, await predictor(prepared), options)
    prediction = Prediction.model_validate_json(answer)
    assert (prediction.detections, prediction.below_threshold) == ([], 1)
    assert prediction.options == options


async def test_postprocess_draws_on_read_only_arrays(predictor, prepared):
    prepared.source.pixels.flags.writeable = False
    prepared.model_input.pixels.flags.writeable = False
    predicted = await predictor(prepared)
    answer = await Postprocess(app_args())("some-id", prepared, predicted, PredictOptions())
    assert json.loads(answer)["visualization"]


async def test_pipeline_answers_as_its_stages_do(predictor, prepared):
    options = PredictOptions(visualization="png")
    predicted = await predictor(prepared)
    answer_of_stages = await Postprocess(app_args())("id", prepared, predicted, options, "case-7")
    answer_of_pipeline = await FusedPipeline(app_args(), open_fake_bundle)(
        "id", png(), options, "case-7"
    )
    keys = set(Prediction.model_fields) - {"timings_ms"}
    first, second = json.loads(answer_of_stages), json.loads(answer_of_pipeline)
    assert {key: first[key] for key in keys} == {key: second[key] for key in keys}


DARK, LIGHT = png(level=10), png()


async def answers_of(data: bytes, open_bundle, **changes) -> tuple[Prediction, Prediction]:
    """Return the answers of the stages in replicas of their own, and of all in one."""
    args = app_args(**changes)
    options = PredictOptions(visualization="png")
    prepared = await Preprocess(args, open_bundle)(data)
    predicted = await Predictor(args, open_bundle)(prepared)
    staged = await Postprocess(args)("id", prepared, predicted, options)
    fused = await FusedPipeline(args, open_bundle)("id", data, options)
    first, second = (Prediction.model_validate_json(answer) for answer in (staged, fused))
    return first, second.model_copy(update={"timings_ms": first.timings_ms})


@pytest.mark.parametrize("data", [DARK, LIGHT], ids=["dark", "light"])
async def test_image_is_not_assessed_without_limits(data):
    staged, fused = await answers_of(data, open_fake_bundle)
    assert staged == fused
    assert (staged.quality.gradable, staged.quality.reasons) == (None, [])
    assert len(staged.detections) == 1


@pytest.mark.parametrize("ungradable", ["answer", "withhold"])
@pytest.mark.parametrize("data", [DARK, LIGHT], ids=["dark", "light"])
async def test_both_layouts_give_the_distance_of_an_image(data, ungradable):
    staged, fused = await answers_of(data, open_embedding_bundle, ungradable=ungradable)
    assert staged == fused
    if staged.quality.withheld:
        assert staged.embedding_distance is None
    else:
        assert staged.embedding_distance == pytest.approx(11 if data == DARK else 0, abs=0.02)


async def test_profile_without_embeddings_gives_no_distance():
    staged, fused = await answers_of(LIGHT, open_limited_bundle)
    assert staged.embedding_distance is fused.embedding_distance is None


async def test_images_of_a_batch_have_their_own_distances():
    predictor = Predictor(app_args(), open_embedding_bundle)
    preprocess = Preprocess(app_args(), open_embedding_bundle)
    levels = [120, 130, 90, 120]
    images = [await preprocess(png(level=level)) for level in levels]
    predicted = await asyncio.gather(*map(predictor, images))
    assert max(predictor._engine.batch_sizes) > 1
    distances = [image.embedding_distance for image in predicted]
    assert distances == pytest.approx([abs(level - 120) / 10 for level in levels], abs=0.02)


async def test_embedding_stays_in_the_predictor(prepared):
    predictor = Predictor(app_args(), open_embedding_bundle)
    assert (await predictor(prepared)).instances.embedding is None


async def test_model_without_finite_features_fails_on_the_image(prepared):
    predictor = Predictor(app_args(), open_embedding_bundle)
    predict = predictor._engine.predict
    broken = np.full(3, np.nan, np.float32)
    predictor._engine.predict = lambda inputs: [
        replace(instances, embedding=broken) for instances in predict(inputs)
    ]
    with pytest.raises(PredictionFailed, match="not finite"):
        await predictor(prepared)


@pytest.mark.parametrize("ungradable", ["answer", "withhold"])
@pytest.mark.parametrize("data", [DARK, LIGHT], ids=["dark", "light"])
async def test_both_layouts_judge_an_image_alike(data, ungradable):
    staged, fused = await answers_of(data, open_limited_bundle, ungradable=ungradable)
    assert staged == fused
    is_dark = data == DARK
    assert staged.quality.gradable == (not is_dark)
    assert staged.quality.reasons == (["too_dark"] if is_dark else [])
    assert staged.quality.withheld == (is_dark and ungradable == "withhold")
    assert staged.quality.statistics.shorter_side == 20
    assert len(staged.detections) == (0 if staged.quality.withheld else 1)


async def test_withheld_answer_is_consistent_and_its_picture_is_the_image():
    (answer, _) = await answers_of(DARK, open_limited_bundle, ungradable="withhold")
    assert answer.metrics.class_distribution == {"LSIL": 0, "HSIL": 0}
    assert (answer.metrics.scores, answer.metrics.box_areas, answer.below_threshold) == ([], [], 0)
    assert np.array_equal(
        decode(base64.b64decode(answer.visualization)).pixels, decode(DARK).pixels
    )


async def test_model_does_not_run_on_withheld_image():
    predictor = Predictor(app_args(ungradable="withhold"), open_limited_bundle)
    await predictor(await Preprocess(app_args(), open_limited_bundle)(DARK))
    assert sum(predictor._engine.batch_sizes) == 0


async def test_ungradable_images_are_counted_by_reason():
    metrics = RecordingMetrics()
    pipeline = FusedPipeline(app_args(), open_limited_bundle, lambda: metrics)
    for data in (DARK, LIGHT):
        await pipeline("id", data, PredictOptions())
    assert metrics.ungradable == [["too_dark"]]


def test_withholding_needs_limits():
    with pytest.raises(BundleError, match="none; pack it again with --profile"):
        Predictor(app_args(ungradable="withhold"), open_golden_bundle)


def test_golden_image_may_not_be_withheld():
    with pytest.raises(BundleError, match=r"golden image a.png \(too_bright\)"):
        Predictor(app_args(ungradable="withhold"), open_strict_bundle)


def test_fake_bundle_has_interface_of_real_bundle():
    fake = open_fake_bundle(Path("nowhere"))
    assert isinstance(fake, FakeBundle)
    assert fake.info("fake").sha256 == "0" * 64
    assert np.array_equal(fake.resize(np.ones((9, 9, 3), np.uint8)).pixels, np.ones((9, 9, 3)))


def corruptible(**changes) -> Predictor:
    """Return a predictor with a golden case, whose weights the image CORRUPTS changes."""
    args = app_args()
    model = args.model.model_copy(update=changes)
    return Predictor(args.model_copy(update={"model": model}), open_golden_bundle)


@pytest.fixture
def no_hold(monkeypatch):
    monkeypatch.setattr(stages, "_REFUSES_AFTER_S", 0.0)


async def check_golden(predictor: Predictor) -> None:
    await predictor._checks._check_golden(predictor._batcher.run_when_idle)


async def test_predictor_reports_stage_batch_and_model(prepared):
    metrics = RecordingMetrics()
    predictor = Predictor(app_args(), open_golden_bundle, lambda: metrics)
    await predictor(prepared)
    assert metrics.stages == ["predictor"]
    assert [len(waited) for waited in metrics.batches] == [1]
    assert metrics.models == [predictor._info]
    assert metrics.checks == ["reproduced", "unchanged"]


async def test_pipeline_reports_each_stage_to_one_object():
    made = []

    def make() -> RecordingMetrics:
        made.append(RecordingMetrics())
        return made[-1]

    pipeline = FusedPipeline(app_args(), open_fake_bundle, make)
    await pipeline("id", png(), PredictOptions())
    (metrics,) = made
    assert metrics.stages == ["preprocess", "predictor", "postprocess"]


async def test_refused_image_counts_for_no_stage():
    metrics = RecordingMetrics()
    pipeline = FusedPipeline(app_args(), open_fake_bundle, lambda: metrics)
    with pytest.raises(BrokenImage):
        await pipeline("id", png()[:-20], PredictOptions())
    assert metrics.stages == []


@pytest.mark.usefixtures("no_hold")
async def test_predictor_with_altered_weights_refuses_every_image(prepared):
    predictor = corruptible()
    await predictor(await Preprocess(app_args(), open_fake_bundle)(png(CORRUPTS)))
    with pytest.raises(SelfCheckFailed):
        await check_golden(predictor)
    calls = len(predictor._engine.batch_sizes)
    for question in (predictor(prepared), predictor.manifest(), predictor.golden()):
        with pytest.raises(SelfCheckFailed):
            await question
    assert len(predictor._engine.batch_sizes) == calls


@pytest.mark.usefixtures("no_hold")
async def test_images_that_wait_during_failing_check_are_refused(prepared):
    predictor = corruptible()
    predictor._engine.weights[0] = 0.25
    check = asyncio.create_task(check_golden(predictor))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(predictor(prepared)) for _ in range(3)]
    results = await asyncio.gather(check, *waiting, return_exceptions=True)
    assert [type(result) for result in results] == [SelfCheckFailed] * 4
    assert predictor._engine.batch_sizes == [1, 1]  # the golden case alone, twice


@pytest.mark.usefixtures("no_hold")
async def test_answer_in_progress_is_dropped_when_check_fails(monkeypatch):
    pipeline = FusedPipeline(app_args(), open_golden_bundle)

    async def slow(*_: object) -> bytes:
        pipeline._predictor._checks._fail("while the picture was drawn")
        return b"{}"

    monkeypatch.setattr(Postprocess, "__call__", slow)
    with pytest.raises(SelfCheckFailed):
        await pipeline("id", png(), PredictOptions())


async def test_refusal_takes_a_moment(prepared, monkeypatch):
    predictor = corruptible()
    predictor._checks._fail("for this test")
    pauses = []
    monkeypatch.setattr(stages, "sleep", lambda s: pauses.append(s) or asyncio.sleep(0))
    with pytest.raises(SelfCheckFailed):
        await predictor(prepared)
    assert pauses == [0.5]


async def test_health_checks_start_self_checks():
    predictor = corruptible(golden_every_s=None)
    await predictor.check_health()
    await predictor.check_health()
    assert [task.get_name() for task in predictor._checks._tasks] == ["weights"]


async def test_predictor_returns_golden_cases_of_model():
    report = json.loads(await corruptible().golden())
    assert report["bundle_sha256"] == MANIFEST.digest
    (case,) = report["cases"]
    assert base64.b64decode(case["image"], validate=True) == png()
    assert case["expected"][0]["box"] == [0, 0, 20, 20]
