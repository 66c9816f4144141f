"""Checks that `lesionserve deploy` runs on each node of a cluster."""

from dataclasses import dataclass
from typing import Any

from pipeline.errors import ModelError
from serve_app.args import AppArgs
from serve_app.deployed_bundle import open_deployed_bundle
from serve_app.tokens import TokenError, Tokens
from serve_app.withholding import open_assessor


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The result of `check_node`. problem: why the node cannot run a replica, or None."""

    problem: str | None


@dataclass(frozen=True, slots=True)
class TrialReport:
    """The result of `try_model`.

    problem: why the model does not load, or None. precision: in which it runs. cases: how many
    golden cases were reproduced.
    """

    problem: str | None
    engine: str = ""
    precision: str = ""
    cases: int = 0


def check_node(args: dict[str, Any]) -> NodeReport:
    """Check that a replica with these `args` finds its service token and bundle on this node."""
    try:
        parsed = AppArgs.model_validate(args)
        Tokens.from_environment()
        open_deployed_bundle(parsed.model.bundle_sha256, parsed.model.bundle)
    except TokenError as error:
        return NodeReport(f"{error} in the environment of `ray start`")
    except ModelError as error:
        return NodeReport(f"{parsed.model.bundle}: {error}")
    except ValueError as error:
        return NodeReport(f"another version of lesionserve: {error}")
    return NodeReport(None)


def try_model(args: dict[str, Any]) -> TrialReport:
    """Load the model as a replica with these `args` does, and run its golden cases."""
    parsed = AppArgs.model_validate(args)
    model = parsed.model
    try:
        bundle = open_deployed_bundle(model.bundle_sha256, model.bundle)
        engine = bundle.load_engine(model.engine, model.device, model.precision, model.threads)
        golden = bundle.golden_check(engine)
        golden.run_all()
        open_assessor(bundle, golden, parsed.ungradable)
    except (ModelError, OSError, RuntimeError) as error:
        return TrialReport(f"{type(error).__name__}: {error}")
    return TrialReport(None, engine.name, engine.precision, len(golden.cases))
