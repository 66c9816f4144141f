import base64
import time
from pathlib import Path

import httpx
from rich.console import Console

from cluster import console
from cluster.errors import StackError
from cluster.local import LocalStack, StackOptions
from cluster.predict import REMOTE_TIMEOUT_S, Remote, ask, table, trust
from pipeline.schemas import Prediction, PredictOptions


def run_demo(image: Path, out: Path, options: StackOptions) -> None:
    """Starts the stack, posts the image through the gateway, writes the answer, stops it all.

    Raises StackError or LesionserveError; however it ends, no process is left.
    """
    data = read_image(image)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with LocalStack(options, console.say) as stack:
        console.say(f"ready after {time.monotonic() - started:.0f} s; posting {image.name}")
        remote = Remote(stack.gateway_url, stack.api_key, stack.ca)
        with httpx.Client(timeout=REMOTE_TIMEOUT_S, verify=trust(stack.ca)) as client:
            prediction = ask(client, remote, data, PredictOptions())
        written = write(prediction, out)
        Console(highlight=False).print(table(image.name, prediction))
        console.say("stopping everything")
    console.say(f"wrote {' and '.join(str(path) for path in written)}")


def stay_up(options: StackOptions, example: Path) -> None:
    """Serves until Ctrl-C. Raises StackError where a process dies that it cannot go on without."""
    try:
        with LocalStack(options, console.say) as stack:
            console.say(invitation(stack, example))
            stack.wait()
    except KeyboardInterrupt:
        console.say("stopped")


def read_image(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}") from error


def write(prediction: Prediction, out: Path) -> list[Path]:
    answer, overlay = out / "prediction.json", out / "overlay.jpg"
    assert prediction.visualization is not None
    answer.write_text(prediction.model_dump_json(indent=1) + "\n")
    overlay.write_bytes(base64.b64decode(prediction.visualization))
    return [answer, overlay]


def invitation(stack: LocalStack, example: Path) -> str:
    """What to open and what to type, once everything is up."""
    dashboard = "with --dashboard"
    if stack.dashboard_url is not None:
        dashboard = f"{stack.dashboard_url} (token {stack.dashboard_token})"
    cacert = "" if stack.ca is None else f"--cacert {stack.ca} "
    return f"""
ready; stop it with Ctrl-C

  page             {stack.gateway_url}/
  API docs         {stack.gateway_url}/docs
  Ray dashboard    {dashboard}
  key              {stack.api_key}

  curl {cacert}-H "X-API-Key: {stack.api_key}" -F file=@{example} {stack.gateway_url}/predict/
"""
