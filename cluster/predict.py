import base64
import itertools
import os
import re
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Literal

import httpx
import typer
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from cluster import console
from cluster.files import write_whole
from cluster.http import open_client, url_fault
from cluster.images import read_image
from pipeline.engines.base import EngineName, Precision
from pipeline.errors import LesionserveError, ServiceError
from pipeline.image.limits import DEFAULT_LIMITS
from pipeline.schemas import ModelInfo, Prediction, PredictOptions, Problem
from pipeline.scores import percent
from pipeline.text import printable

# An image's bytes, the options, and the id that a local answer gets.
Predict = Callable[[bytes, PredictOptions, str], Prediction]

# A prediction may wait in a queue; the gateway's own deadline is shorter than this.
REMOTE_TIMEOUT_S = 120

# What is read of a file at most. A gateway has a limit of its own, and says it.
MAX_LOCAL_BYTES = DEFAULT_LIMITS.max_bytes
MAX_REMOTE_BYTES = 8 * MAX_LOCAL_BYTES

# Read here rather than by the option, so that a variable that lies about means no gateway.
KEY_VARIABLE = "LESIONSERVE_API_KEY"

_KEY_LETTERS = re.compile("[!-~]+")  # ASCII without spaces and control characters


@dataclass(frozen=True)
class Local:
    """A model in this process: a bundle, or a Detectron2 YAML with its checkpoint."""

    bundle: Path | None
    config: Path | None
    weights: Path | None
    classes: Sequence[str] | None
    engine: EngineName
    precision: Precision = "float32"

    @property
    def checkpoint(self) -> tuple[Path | None, Path | None, Sequence[str] | None]:
        return self.config, self.weights, self.classes


@dataclass(frozen=True)
class Remote:
    """A gateway. Its certificate is always verified; `ca` names a private authority."""

    url: str | None
    key: str | None
    ca: Path | None

    @classmethod
    def of(cls, url: str | None, key: str | None, ca: Path | None) -> "Remote":
        """Takes the key from the environment where only a gateway is named."""
        return cls(url, key if url is None else key or os.environ.get(KEY_VARIABLE), ca)


def check_choice(local: Local, remote: Remote) -> None:
    """Raises typer.BadParameter (exit code 2) unless exactly one model is named."""
    given = [part is not None for part in local.checkpoint]
    named = any(given) or local.bundle is not None or local.engine != "auto"
    named = named or local.precision != "float32"
    if any(given) and not all(given):
        raise typer.BadParameter(
            "--config, --weights and --classes (or --class, --classes-file) belong together"
        )
    if any(given) and local.bundle is not None:
        raise typer.BadParameter("give either --bundle or --config, --weights and --classes")
    if remote.url is not None and named:
        raise typer.BadParameter("--url asks a gateway; it goes with no local model or engine")
    if remote.url is None and (remote.key or remote.ca):
        raise typer.BadParameter("--key and --ca go with --url")
    if remote.url is not None and not remote.key:
        raise typer.BadParameter(f"--url needs --key, or {KEY_VARIABLE} in the environment")
    if remote.key is not None and not _KEY_LETTERS.fullmatch(remote.key):
        raise typer.BadParameter(
            f"--key or {KEY_VARIABLE} holds no key: it has a character that no key has, such as a "
            "space or a line end"
        )
    if remote.url is not None and (fault := url_fault(remote.url)) is not None:
        raise typer.BadParameter(f"--url {remote.url} is no gateway's address: {fault}")


@contextmanager
def open_source(local: Local, remote: Remote, demo: Path) -> Iterator[Predict]:
    if remote.url is not None:
        with open_client(remote.url, trust(remote.ca), REMOTE_TIMEOUT_S) as client:
            yield lambda data, options, _: ask(client, remote, data, options)
        return
    with console.status("loading the model"):
        predictor = open_local(local, demo)
    yield predictor


def trust(ca: Path | None) -> ssl.SSLContext:
    """Whose certificates are accepted: the system's authorities, or `ca` alone."""
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise typer.BadParameter(f"--ca: cannot read {ca}: {error.strerror}") from error


def open_local(local: Local, demo: Path) -> Predict:
    # PyTorch is loaded only for a model of this process.
    from pipeline.bundle.bundle import open_bundle
    from pipeline.engines.files.config_file import load_config_file
    from pipeline.engines.portable.config import read_resize
    from pipeline.engines.select import ModelFiles, open_engine
    from pipeline.predictor import LesionPredictor

    if local.config is None or local.weights is None or local.classes is None:
        bundle = open_bundle(local.bundle or demo)
        engine = bundle.load_engine(local.engine, precision=local.precision)
        console.remark([*bundle.manifest.remarks, *engine.remarks])
        return bundle.predictor(engine)
    engine = open_engine(
        ModelFiles(local.config, local.weights), local.engine, precision=local.precision
    )
    console.remark(engine.remarks)
    with local.weights.open("rb") as file:
        sha256 = file_digest(file, "sha256").hexdigest()
    info = ModelInfo(
        name=local.weights.stem,
        version="unversioned",
        sha256=sha256,
        bundle_sha256="",
        engine=engine.name,
        precision=engine.precision,
    )
    resize = read_resize(load_config_file(local.config))
    return LesionPredictor(engine, resize, local.classes, info)


def ask(client: httpx.Client, remote: Remote, data: bytes, options: PredictOptions) -> Prediction:
    """Posts one image to a gateway. Raises ServiceError with the gateway's own reason."""
    assert remote.url is not None
    try:
        response = client.post(
            f"{remote.url.rstrip('/')}/predict/",
            params=options.model_dump(exclude_none=True),
            files={"file": ("image", data)},
            headers={"Authorization": f"Api-Key {remote.key}"},
        )
        response.raise_for_status()
        return Prediction.model_validate_json(response.content, extra="ignore")
    except httpx.HTTPStatusError as error:
        raise ServiceError(describe(error.response)) from error
    except httpx.HTTPError as error:
        raise ServiceError(f"cannot reach the gateway: {error}") from error
    except ValidationError as error:
        raise ServiceError("the gateway's answer is not a prediction") from error


def describe(response: httpx.Response) -> str:
    try:
        problem = Problem.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        return f"the gateway answered {response.status_code}"
    return f"{problem.title}: {problem.detail} (HTTP {problem.status}, {problem.request_id})"


def predict_files(
    paths: Sequence[Path],
    predict: Predict,
    options: PredictOptions,
    format_: Literal["table", "json"],
    out: Path | None,
    max_bytes: int,
) -> int:
    """Predict each file and go on after a bad one; return how many were bad.

    A file is bad that cannot be read, predicted, or written to `out`. Raises OSError where `out`
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
                    prediction = save(prediction, out / names[index])
            except (LesionserveError, OSError) as error:
                failures += 1
                console.fail(f"{path}: {reason(error, path)}", error)
                continue
            report(path, prediction, format_)
    return failures


def reason(error: LesionserveError | OSError, path: Path) -> str:
    """Return why it failed; where another file than `path` was at fault, with its name."""
    if not isinstance(error, OSError):
        return str(error)
    words = error.strerror or str(error)
    at_fault = error.filename2 or error.filename  # what was being written comes second
    return words if at_fault in (None, os.fspath(path)) else f"{at_fault}: {words}"


def output_names(paths: Sequence[Path]) -> list[str]:
    """Each file's stem; numbered where several files share it, and never one name twice."""
    counts = Counter(path.stem for path in paths)
    taken = {stem for stem, count in counts.items() if count == 1}
    names = []
    for path in paths:
        name = path.stem
        if counts[name] > 1:
            numbered = (f"{path.stem}-{number}" for number in itertools.count(1))
            name = next(one for one in numbered if one not in taken)
            taken.add(name)
        names.append(name)
    return names


def save(prediction: Prediction, base: Path) -> Prediction:
    """Write the picture beside the JSON, and return the answer without it. Raises OSError."""
    assert prediction.visualization is not None
    bare = prediction.model_copy(update={"visualization": None})
    picture = base64.b64decode(prediction.visualization)
    write_whole(base.with_name(f"{base.name}.overlay.jpg"), picture)
    text = bare.model_dump_json(indent=1) + "\n"
    write_whole(base.with_name(f"{base.name}.json"), text.encode())
    return bare


def report(path: Path, prediction: Prediction, format_: Literal["table", "json"]) -> None:
    if format_ == "json":
        # In ASCII, so that a label can hold nothing that a terminal obeys.
        console.output(prediction.model_dump_json(ensure_ascii=True))
    else:
        console.output_table(table(path.name, prediction))


def table(title: str, prediction: Prediction) -> Table:
    """A readable summary: one row per lesion, the class counts and what was hidden below.

    File names and labels are text, never rich's markup, and cannot steer the terminal.
    """
    counts = ", ".join(f"{n} {c}" for c, n in prediction.metrics.class_distribution.items() if n)
    size = f"{prediction.image.width}x{prediction.image.height}"
    view = Table(
        title=_text(f"{title} ({size}): {len(prediction.detections)} lesions"),
        caption=_text(
            f"{counts or 'nothing found'}{hidden(prediction)} · "
            f"{prediction.model.name} {prediction.model.version}"
        ),
        title_justify="left",
        caption_justify="left",
    )
    for heading in ("#", "class", "score", "box (x1, y1, x2, y2)", "box area", "mask area"):
        view.add_column(heading, justify="left" if heading == "class" else "right")
    for one in prediction.detections:
        box = ", ".join(f"{side:.0f}" for side in one.box)
        area = "" if one.mask_area is None else f"{one.mask_area}"
        row = (str(one.id), _text(one.label), percent(one.score), box, f"{one.box_area:.0f}", area)
        view.add_row(*row)
    return view


def _text(text: str) -> Text:
    return Text(printable(text))


def hidden(prediction: Prediction) -> str:
    """Return what the asked score threshold hid, or nothing where none was asked for."""
    threshold = prediction.options.score_threshold
    if threshold is None:
        return ""
    return f", {prediction.below_threshold} below the threshold of {percent(threshold)} hidden"
