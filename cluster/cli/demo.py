import base64
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import console
from cluster.cli.options import Debug
from cluster.errors import StackError
from cluster.files import write_whole
from cluster.paths import DEMO_IMAGE
from pipeline.errors import ImageError

if TYPE_CHECKING:
    from cluster.launcher.stack import Stack
    from pipeline.schemas import Prediction


def demo(
    image: Annotated[Path, typer.Option(help="the image to post")] = DEMO_IMAGE,
    out: Annotated[Path, typer.Option(help="where the answer goes")] = Path("out"),
    debug: Debug = False,
) -> None:
    """Start everything, post an image, show the answer, stop."""
    from cluster.cli.prediction_table import prediction_table
    from cluster.launcher.options import StackOptions
    from cluster.launcher.startup import running_stack

    data = _read(image)
    out.mkdir(parents=True, exist_ok=True)
    options = StackOptions(key_name="demo", debug=debug)
    with running_stack(options, console.say, console.clock) as stack:
        console.say(f"ready after {stack.start_s:.0f} s; posting {image.name}")
        prediction = _post(data, stack)
        paths = _write(prediction, out)
        console.output_table(prediction_table(image.name, prediction))
        console.say("stopping everything")
    console.say(f"wrote {' and '.join(str(path) for path in paths)}")


def _read(image: Path) -> bytes:
    from cluster.cli.images import read_image
    from cluster.cli.model_source import MAX_LOCAL_BYTES
    from cluster.cli.prediction_files import failure_reason

    try:
        return read_image(image, MAX_LOCAL_BYTES)
    except (OSError, ImageError) as error:
        raise StackError(f"{image}: {failure_reason(error, image)}") from error


def _post(data: bytes, stack: "Stack") -> "Prediction":
    from cluster.cli.http_client import open_client
    from cluster.cli.remote_gateway import REMOTE_TIMEOUT_S, RemoteGateway, ask, trust
    from pipeline.schemas import PredictOptions

    remote = RemoteGateway(stack.gateway_url, stack.api_key, stack.ca)
    with open_client(stack.gateway_url, trust(stack.ca), REMOTE_TIMEOUT_S) as client:
        return ask(client, remote, data, PredictOptions())


def _write(prediction: "Prediction", out: Path) -> list[Path]:
    answer, overlay = out / "prediction.json", out / "overlay.jpg"
    assert prediction.visualization is not None
    write_whole(answer, f"{prediction.model_dump_json(indent=1)}\n".encode())
    write_whole(overlay, base64.b64decode(prediction.visualization))
    return [answer, overlay]
