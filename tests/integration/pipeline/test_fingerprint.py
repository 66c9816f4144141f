"""Test that a fingerprint changes with a weight in memory, and with nothing else."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.engines import fingerprint
from pipeline.engines.files.config_file import load_config_file
from pipeline.engines.fingerprint import fingerprint_of
from pipeline.engines.openvino.convert import convert, taking_pixels
from pipeline.engines.openvino.engine import OpenVinoEngine
from pipeline.engines.portable.config import parse_config
from pipeline.engines.portable.engine import PortableEngine, open_model
from pipeline.engines.portable.maskrcnn import MaskRCNN
from tests.integration.pipeline.test_openvino import picture
from tests.models import open_compiled, write_model

MANTISSA_END, MANTISSA_START = 0, 22  # bits of a float32


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    return write_model(tmp_path_factory.mktemp("model"))


def flip(tensor: Tensor, bit: int) -> None:
    """Flip one bit of the largest value of a float32 tensor, in place.

    It is positive, so that the ReLU behind it lets something through.
    """
    values = tensor.data.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor.data
    flat = values.reshape(-1)
    assert flat.data_ptr() == tensor.data_ptr(), "a copy would be flipped"
    place = int(flat.argmax())
    flat.view(torch.int32)[place] ^= 1 << bit


def parameters() -> list[str]:
    return [
        "backbone.bottom_up.stem.conv1.weight",
        "backbone.bottom_up.res3.0.conv2.weight",
        "backbone.fpn_output2.weight",
        "proposal_generator.rpn_head.conv.weight",
        "roi_heads.box_head.fc1.weight",
        "roi_heads.box_predictor.cls_score.weight",
        "roi_heads.mask_head.deconv.weight",
    ]


def test_fingerprint_stays_the_same(files):
    engine = PortableEngine.open(*files)
    first = engine.fingerprint()
    engine.predict([picture(64, 96)])
    assert engine.fingerprint() == first == PortableEngine.open(*files).fingerprint()
    assert len(first) == 64


@pytest.mark.parametrize("name", parameters())
def test_flipped_bit_changes_fingerprint(files, name):
    engine = PortableEngine.open(*files)
    first = engine.fingerprint()
    parameter = engine.model.get_parameter(name)
    flip(parameter, MANTISSA_END)
    assert engine.fingerprint() != first
    flip(parameter, MANTISSA_END)
    assert engine.fingerprint() == first


def test_changed_buffer_changes_fingerprint(files):
    engine = PortableEngine.open(*files)
    first = engine.fingerprint()
    flip(engine.model.pixel_mean, MANTISSA_END)
    assert engine.fingerprint() != first


def test_bfloat16_weight_changes_fingerprint(files):
    engine = PortableEngine.open(*files, precision="bfloat16")
    first = engine.fingerprint()
    engine.model.get_parameter("backbone.fpn_output2.weight").data[0, 0, 0, 0] += 1
    assert engine.fingerprint() != first


def test_large_tensor_is_hashed_in_chunks_of_its_values(monkeypatch):
    model = nn.Linear(50, 7, bias=False)
    whole = fingerprint_of(model)
    monkeypatch.setattr(fingerprint, "_CHUNK_BYTES", 64)
    assert fingerprint_of(model) == whole
    values = model.weight.detach().numpy().tobytes()
    assert whole == hashlib.sha256(b"weight torch.float32 (7, 50)\n" + values).hexdigest()


def test_fingerprint_depends_on_order_of_values_and_on_name():
    model = nn.Linear(2, 2, bias=False)
    first = fingerprint_of(model)
    with torch.no_grad():
        model.weight.copy_(model.weight.flip(0).clone())
    assert fingerprint_of(model) != first
    renamed = nn.ParameterDict({"other": model.weight})
    assert fingerprint_of(renamed) != fingerprint_of(model)


def altered(files: tuple[Path, Path], name: str, bit: int) -> OpenVinoEngine:
    """Return an engine of which one weight differs in one bit."""
    model = open_model(*files)
    flip(model.get_parameter(name), bit)
    return compile_model(files[0], model)


def compile_model(config: Path, model: MaskRCNN) -> OpenVinoEngine:
    graphs = taking_pixels(convert(model), model)
    return OpenVinoEngine(parse_config(load_config_file(config)), graphs, "float32", threads=2)


@pytest.fixture(scope="module")
def compiled(files) -> OpenVinoEngine:
    return open_compiled(*files)


@pytest.mark.parametrize("name", parameters())
def test_flipped_bit_changes_fingerprint_of_openvino(files, compiled, name):
    assert altered(files, name, MANTISSA_START).fingerprint() != compiled.fingerprint()


def test_unaltered_graphs_have_same_fingerprint(files, compiled):
    engine = compile_model(files[0], open_model(*files))
    assert engine.fingerprint() == compiled.fingerprint()


def test_fingerprint_of_openvino_without_masks(tmp_path):
    engine = open_compiled(*write_model(tmp_path, **{"MODEL.MASK_ON": False}))
    assert engine.fingerprint() == engine.fingerprint()


def test_fingerprint_of_openvino_stays_the_same_under_load(compiled):
    first = compiled.fingerprint()
    stop = threading.Event()

    def load() -> None:
        matrix = np.ones((200, 200), np.float32)
        while not stop.is_set():
            matrix @ matrix

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        again = []
        for seed in range(10):
            compiled.predict([picture(64 + 16 * (seed % 3), 96, seed)] * (1 + seed % 2))
            again.append(compiled.fingerprint())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(again) == {first}


def test_fingerprint_of_openvino_is_the_same_in_other_thread(compiled):
    first, results = compiled.fingerprint(), []
    thread = threading.Thread(target=lambda: results.append(compiled.fingerprint()))
    thread.start()
    thread.join()
    assert results == [first]
