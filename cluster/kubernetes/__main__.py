"""Write what Kubernetes needs in a form of its own, from the files that everything else uses.

`python -m cluster.kubernetes` writes the files of this repository; run it after a change of a
profile in configs/serve or of a rule in cluster/monitoring/rules.

`python -m cluster.kubernetes serve-config PROFILE --bundle DIR --mounted-at PATH` prints the
profile with a bundle of your own, for your overlay (docs/deploy/kubernetes.md). `candidate-config
SERVE_YAML` prints that file with a candidate in it, which is tried out beside that bundle.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli import console
from cluster.errors import StackError
from cluster.kubernetes.rules import RULES, prometheus_rule
from cluster.kubernetes.serve_config import candidate_config, pinned_config, profile_config
from serve_app.paths import ROOT

FOLDER = Path(__file__).parent
PROFILES = {
    FOLDER / "overlays/gpu/serve.yaml": ROOT / "configs/serve/cluster.yaml",
    FOLDER / "overlays/cpu/serve.yaml": ROOT / "configs/serve/cluster-cpu.yaml",
}
RULES_FILE = FOLDER / "components/monitoring/prometheus-rules.yaml"

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)


def written_files() -> dict[Path, str]:
    """Return the content of each written file, by its path."""
    files = {path: profile_config(profile) for path, profile in PROFILES.items()}
    return files | {RULES_FILE: prometheus_rule(sorted(RULES.glob("*.yml")))}


@app.callback(invoke_without_command=True)
def write(context: typer.Context) -> None:
    """Write the files of this repository."""
    if context.invoked_subcommand is None:
        for path, content in written_files().items():
            path.write_text(content, encoding="utf-8")


@app.command()
def serve_config(
    profile: Annotated[Path, typer.Argument(help="such as configs/serve/cluster.yaml")],
    bundle: Annotated[Path, typer.Option(help="the bundle, here")],
    mounted_at: Annotated[Path, typer.Option(help="where the pods see it: /models/cervix-1")],
) -> None:
    """Print the profile with the path and the digest of a bundle, whose files are verified here."""
    config, model = pinned_config(profile, bundle, mounted_at)
    for line in config.splitlines():
        console.output(line)
    console.say(f"bundle: {model} is intact")


@app.command(name="candidate-config")
def with_candidate(
    serving: Annotated[Path, typer.Argument(help="the serve.yaml of your overlay, as it serves")],
    bundle: Annotated[Path, typer.Option(help="the candidate's bundle, here")],
    mounted_at: Annotated[Path, typer.Option(help="where the pods see it: /models/cervix-2")],
) -> None:
    """Print a written configuration with a candidate beside its application, which stays."""
    config, manifest = candidate_config(serving, bundle, mounted_at)
    for line in config.splitlines():
        console.output(line)
    console.say(f"candidate: {manifest.name} {manifest.version} is intact: {manifest.digest}")


def main() -> None:
    """Run the command. Exit codes: 0 done, 2 misuse, 3 refused by a check."""
    try:
        status: int | None = app(prog_name="python -m cluster.kubernetes", standalone_mode=False)
    except typer.TyperException as error:
        console.fail(f"{error.format_message()} (see --help)", error)
        status = error.exit_code
    except StackError as error:
        console.fail(str(error), error, error.log)
        status = error.exit_status
    sys.exit(status or 0)


if __name__ == "__main__":
    main()
