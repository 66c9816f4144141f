"""The `lesionserve` command.

Each command imports what it needs only when it runs, so that `lesionserve --help` and calls to a
remote gateway start without PyTorch or Ray.
"""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from cluster.cli import console
from cluster.cli.bundles import pack, verify
from cluster.cli.compare import compare
from cluster.cli.demo import demo
from cluster.cli.deploy import deploy
from cluster.cli.plan import plan
from cluster.cli.predict import predict
from cluster.cli.replay import replay
from cluster.cli.rollout import app as rollout
from cluster.cli.up import up
from cluster.errors import StackError
from cluster.launcher.environment import name_the_user
from pipeline.errors import LesionserveError

NEEDED = (
    "a bundle needs lesionserve[cpu], a checkpoint or a GPU lesionserve[serve], up and demo "
    "lesionserve[cpu,gateway]"
)

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich's boxes show a flag as an option that takes a <bool>
)


@app.callback(invoke_without_command=True)
def lesionserve(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Serve a Detectron2 lesion model: an authenticated gateway before an autoscaling graph."""
    if show_version:
        console.output(f"lesionserve {version('lesionserve')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


for command in (demo, up, predict, replay, compare, pack, verify, deploy, plan):
    app.command()(command)
app.add_typer(rollout, name="rollout")


def main() -> None:
    """Run the command. Exit codes: 0 done, 1 failure, 2 misuse, 130 interrupted.

    Those of `replay` are its own.
    """
    console.prepare_streams()
    name_the_user()
    try:
        status: int | None = app(prog_name="lesionserve", standalone_mode=False)
    except typer.TyperException as error:
        console.fail(f"{_plain(error)} (see --help)", error)
        status = error.exit_code
    except typer.Abort as error:
        console.fail("aborted", error)
        status = 1
    except StackError as error:
        console.fail(str(error), error, error.log)
        status = error.exit_status
    except LesionserveError as error:
        console.fail(str(error), error)
        status = 1
    except BrokenPipeError:
        status = 1  # a reader that ends early, such as `head`, needs no message
    except ModuleNotFoundError as error:
        # Only the gateway or only the serving half is installed.
        console.fail(f"{error.name} is not installed; {NEEDED}", error)
        status = 1
    except OSError as error:
        console.fail(f"{error.filename or 'output'}: {error.strerror or error}", error)
        status = 1
    if not console.finish_output():
        status = status or 1
    sys.exit(status or 0)


def _plain(error: typer.TyperException) -> str:
    """Return what was asked for wrongly, without the words of the library that checks types."""
    return error.format_message().replace("Value error, ", "")
