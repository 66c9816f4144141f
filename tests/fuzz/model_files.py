"""Fuzz the code that reads configurations and checkpoints, guided by coverage.

    python -m tests.fuzz.model_files config CORPUS -runs=20000 -seed=1

`config` reads the input as a YAML file, `checkpoint` reads it as a checkpoint file, and `structure`
builds from it the content of a checkpoint. CORPUS is a folder, filled on first use. Any input must
load, or raise a ModelError whose text is one line of at most 1 kB.
"""

import pickle
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import atheris

with atheris.instrument_imports(
    include=["pipeline.engines.files", "pipeline.engines.portable", "pipeline.text", "yaml"]
):
    from pipeline.engines.files import architecture, checkpoint, config_file, state_dict, yaml_text  # noqa: F401, before the others  # noqa: F401
    from pipeline.engines.files.checkpoint import load_strictly, open_checkpoint, weights_in
    from pipeline.engines.files.pickles import Array, Dtype, Inert
    from pipeline.engines.files.state_dict import PLACES, WRAPPERS
    from pipeline.engines.portable import refusal  # noqa: F401
    from pipeline.engines.portable.build import build_model
    from pipeline.engines.portable.config import parse_config, remarks_on, require_detectron2_runs

import torch
import yaml

from pipeline.bundle.packing import config_text
from pipeline.engines.files.config_file import read_config_file
from pipeline.engines.portable.config import read_resize
from pipeline.errors import ModelError
from tests.models import SMALL, tree, weights

FILE = Path(tempfile.mkdtemp(prefix="fuzz-")) / "file.pth"
MODEL = build_model(parse_config(tree()))
STATE = weights(tree())
NAMES = [*PLACES, *WRAPPERS, *{part for name in STATE for part in name.split(".")}]
NAMES += ["ema_state", "modelTeacher", "optimizer", "_modules", "_buffers", "pixel_mean", ""]


def check_config(data: bytes) -> None:
    path = FILE.with_suffix(".yaml")
    path.write_bytes(data)
    try:
        file = read_config_file(path)
        config_text(file.tree, path.name)
        read_resize(file.tree)
        require_detectron2_runs(file.tree)
        build_model(parse_config(file.tree))
        for remark in file.remarks + remarks_on(file.tree):
            check_text(remark)
    except ModelError as error:
        check_text(str(error))


def check_checkpoint(data: bytes) -> None:
    FILE.write_bytes(data)
    for trust in (False, True):
        try:
            checkpoint_ = open_checkpoint(FILE, trust_pickle=trust)
            for remark in checkpoint_.remarks + load_strictly(MODEL, checkpoint_.weights):
                check_text(remark)
        except ModelError as error:
            check_text(str(error))


def check_structure(data: bytes) -> None:
    content = made(atheris.FuzzedDataProvider(data), 0)
    try:
        checkpoint_ = weights_in(content, "file.pth", 4096)
        for remark in checkpoint_.remarks + load_strictly(MODEL, checkpoint_.weights):
            check_text(remark)
    except ModelError as error:
        check_text(str(error))


def made(source: atheris.FuzzedDataProvider, depth: int) -> Any:
    """Return a tensor, a container of tensors, or another object that unpickling can return."""
    kind = source.ConsumeIntInRange(0, 15 if depth < 6 else 8)
    match kind:
        case 0:
            shape = [source.ConsumeIntInRange(0, 3) for _ in range(source.ConsumeIntInRange(0, 4))]
            dtype = source.PickValueInList([torch.float32, torch.float16, torch.int64, torch.bool])
            return torch.ones(shape, dtype=dtype)
        case 1:
            return torch.ones(1).expand(source.ConsumeIntInRange(0, 1 << 40))
        case 2:
            return torch.full((2,), source.ConsumeFloat(), dtype=torch.float64)
        case 3:
            return torch.ones(2, 2).to_sparse()
        case 4:
            return next(iter(STATE.values()))
        case 5:
            array = Array()
            array.__setstate__((1, (source.ConsumeInt(2),), Dtype("f4"), False, b"\0" * 8))
            return array
        case 6:
            return source.ConsumeUnicode(20)
        case 7:
            return source.PickValueInList([None, 1, 2.5, (), b"x"])
        case 8:
            return STATE
        case 9:
            return [made(source, depth + 1) for _ in range(source.ConsumeIntInRange(0, 3))]
        case 10 | 11:
            inert = Inert()
            inert.state = made(source, depth + 1)
            inert.update(items(source, depth))
            return inert
        case 12:
            inert = Inert()
            inert.state = {"_modules": items(source, depth), "_parameters": items(source, depth)}
            return inert
    return items(source, depth)


def items(source: atheris.FuzzedDataProvider, depth: int) -> dict[Any, Any]:
    count = source.ConsumeIntInRange(0, 5)
    return {key(source): made(source, depth + 1) for _ in range(count)}


def key(source: atheris.FuzzedDataProvider) -> Any:
    if source.ConsumeProbability() < 0.1:
        return source.PickValueInList([0, None, (1,), b"model", source.ConsumeUnicode(20)])
    names = [source.PickValueInList(NAMES) for _ in range(source.ConsumeIntInRange(1, 4))]
    return ".".join(names)


def check_text(text: str) -> None:
    assert len(text) <= 1000, "a message is too long"
    assert text.isprintable(), "a message is not one line of letters"


def seed_configs(corpus: Path) -> None:
    texts = [
        yaml.safe_dump(SMALL),
        yaml.safe_dump(tree(**{"TEST.AUG.ENABLED": True, "MODEL.ROI_HEADS.NAME": "Res5ROIHeads"})),
        "!!python/object/new:x.CfgNode\ndictitems: {A: !!python/tuple [1]}\nstate: {b: !!set {}}\n",
        "A: &a {b: 1}\nC: {<<: *a}\nD: '(1, 2)'\nE: !!python/object/apply:eval ['1']\n",
        "_BASE_: file.yaml\nF: [!!binary aGk=, !!timestamp 2026-01-01, 1:30, 0x1f, .nan, ~]\n",
        '"\\ud800": !x {? [1] : 2}\n',
    ]
    for number, text in enumerate(texts):
        for encoding in ("utf-8", "utf-16"):
            name = f"seed-{number:03d}-{encoding}"
            (corpus / name).write_bytes(text.encode(encoding, "surrogatepass"))


def seed_checkpoints(corpus: Path) -> None:
    small = {"backbone.a.weight": torch.ones(2), "b.num_batches_tracked": torch.tensor(1)}
    contents = [
        small,
        {"model": small, "optimizer": {"state": {0: [1, 2.5]}}, "ema": {"module": small}},
        {"state_dict": {f"model._orig_mod.{key}": value for key, value in small.items()}},
        {"model": torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1))},
        {"model": {"a.b": torch.ones(2).numpy()}, "cfg": Path("x"), "flag": {1, 2}},
    ]
    for number, content in enumerate(contents):
        torch.save(content, corpus / f"seed-{number:03d}-zip")
        torch.save(content, corpus / f"seed-{number:03d}-old", _use_new_zipfile_serialization=False)
        (corpus / f"seed-{number:03d}-pkl").write_bytes(pickle.dumps(content))
    torch.save({"model": weights(tree())}, corpus / "seed-whole")


def seed_structures(corpus: Path) -> None:
    """Write random bytes, since the inputs of `structure` have no format."""
    for number in range(32):
        (corpus / f"seed-{number:03d}").write_bytes(Random(number).randbytes(200))


def main() -> None:
    target = sys.argv.pop(1)
    check, seed = {
        "config": (check_config, seed_configs),
        "checkpoint": (check_checkpoint, seed_checkpoints),
        "structure": (check_structure, seed_structures),
    }[target]
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    seed(corpus)
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
