"""Image files in, and answers to the terminal or into files out."""

import base64
import itertools
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cluster.cli import console
from cluster.cli.images import read_image
from cluster.cli.local_model import Predict
from cluster.cli.prediction_table import prediction_table
from cluster.files import write_whole
from pipeline.errors import LesionserveError
from pipeline.schemas import Prediction, PredictOptions


def predict_files(
    paths: Sequence[Path],
    predict: Predict,
    options: PredictOptions,
    format_: Literal["table", "json"],
    out: Path | None,
    max_bytes: int,
) -> int:
    """Predict each file and go on after a bad one; return how many were bad.

    A file is bad that cannot be read, predicted, or written to `out`. Raise OSError where `out`
    cannot be made or stdout cannot be written.
    """
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    names = output_names(paths)
    failures = 0
    with console.progress(visible=len(paths) > 1) as progress:
        for index, path in enumerate(progress.track(paths, description="predicting")):
            try:
                data = read_image(path, max_bytes)
                prediction = predict(data, options, f"local-{index + 1}")
                if out is not None:
                    prediction = _save(prediction, out / names[index])
            except (LesionserveError, OSError) as error:
                failures += 1
                console.fail(f"{path}: {failure_reason(error, path)}", error)
                continue
            _report(path, prediction, format_)
    return failures


def failure_reason(error: LesionserveError | OSError, path: Path) -> str:
    """Return why it failed; where another file than `path` was at fault, with its name."""
    if not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or str(error)
    at_fault = error.filename2 or error.filename  # a rename names its target second
    return reason if at_fault in (None, os.fspath(path)) else f"{at_fault}: {reason}"


def output_names(paths: Sequence[Path]) -> list[str]:
    """Return each file's stem; numbered where several files share it, and no name twice."""
    counts = Counter(path.stem for path in paths)
    taken = {stem for stem, count in counts.items() if count == 1}
    names = []
    for path in paths:
        name = path.stem
        if counts[name] > 1:
            candidates = (f"{path.stem}-{number}" for number in itertools.count(1))
            name = next(candidate for candidate in candidates if candidate not in taken)
            taken.add(name)
        names.append(name)
    return names


def _save(prediction: Prediction, base: Path) -> Prediction:
    """Write the picture beside the JSON, and return the answer without it. Raise OSError."""
    assert prediction.visualization is not None
    bare = prediction.model_copy(update={"visualization": None})
    picture = base64.b64decode(prediction.visualization)
    write_whole(base.with_name(f"{base.name}.overlay.jpg"), picture)
    text = bare.model_dump_json(indent=1) + "\n"
    write_whole(base.with_name(f"{base.name}.json"), text.encode())
    return bare


def _report(path: Path, prediction: Prediction, format_: Literal["table", "json"]) -> None:
    if format_ == "json":
        # In ASCII, so that a label cannot control the terminal.
        console.output(prediction.model_dump_json(ensure_ascii=True))
    else:
        console.output_table(prediction_table(path.name, prediction))
