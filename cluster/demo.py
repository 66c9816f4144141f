import base64
from pathlib import Path

from cluster import console
from cluster.errors import StackError
from cluster.files import write_whole
from cluster.http import open_client
from cluster.images import read_image
from cluster.launcher.stack import LocalStack, StackOptions
from cluster.predict import MAX_LOCAL_BYTES, REMOTE_TIMEOUT_S, Remote, ask, reason, table, trust
from pipeline.errors import ImageError
from pipeline.schemas import Prediction, PredictOptions


def run_demo(image: Path, out: Path, options: StackOptions) -> None:
    """Starts the stack, posts the image through the gateway, writes the answer, stops it all.

    Raises StackError or LesionserveError; however it ends, no process is left.
    """
    try:
        data = read_image(image, MAX_LOCAL_BYTES)
    except (OSError, ImageError) as error:
        raise StackError(f"{image}: {reason(error, image)}") from error
    out.mkdir(parents=True, exist_ok=True)
    with LocalStack(options, console.say, console.clock) as stack:
        console.say(f"ready after {stack.stages.elapsed_s:.0f} s; posting {image.name}")
        remote = Remote(stack.gateway_url, stack.api_key, stack.ca)
        with open_client(stack.gateway_url, trust(stack.ca), REMOTE_TIMEOUT_S) as client:
            prediction = ask(client, remote, data, PredictOptions())
        written = write(prediction, out)
        console.output_table(table(image.name, prediction))
        console.say("stopping everything")
    console.say(f"wrote {' and '.join(str(path) for path in written)}")


def stay_up(options: StackOptions, example: Path) -> None:
    """Serves until Ctrl-C. Raises StackError where a process dies that it cannot go on without."""
    try:
        with LocalStack(options, console.say, console.clock) as stack:
            console.say(f"{stack.stages.elapsed_s:4.0f} s  ready")
            console.say_lines(invitation(stack, example))
            stack.wait()
    except KeyboardInterrupt:
        console.say("stopped")


def write(prediction: Prediction, out: Path) -> list[Path]:
    answer, overlay = out / "prediction.json", out / "overlay.jpg"
    assert prediction.visualization is not None
    write_whole(answer, f"{prediction.model_dump_json(indent=1)}\n".encode())
    write_whole(overlay, base64.b64decode(prediction.visualization))
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
