from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from ray import serve
from ray.serve import Application, Deployment

from pipeline.allocator import KEEP_FREED_MEMORY
from pipeline.bundle import open_bundle
from serve_app.args import AppArgs, Fused, Size
from serve_app.graph import FusedGraph, StagedGraph
from serve_app.ingress import FrontDoor
from serve_app.stages import OpenBundle, Postprocess, Predictor, Preprocess

_ASK_AGAIN_S = 0.05


def build_app(args: AppArgs) -> Application:
    """The application that configs/serve/*.yaml name; Serve hands it their `args`."""
    return wire(args, open_bundle)


def wire(args: AppArgs, open_bundle: OpenBundle) -> Application:
    """The only place where the graph is wired. Tests bring an `open_bundle` of their own."""
    front_door = serve.ingress()(FrontDoor)
    # Where the model may run on a CPU.
    model_environment = {} if args.model.device == "cuda" else KEEP_FREED_MEMORY
    if isinstance(args.graph, Fused):
        whole = _deployment(front_door, args.graph.ingress, model_environment)
        return whole.bind(args, partial(FusedGraph, args, open_bundle))
    return _deployment(front_door, args.graph.ingress).bind(
        args,
        StagedGraph,
        _deployment(Preprocess, args.graph.preprocess).bind(args, open_bundle),
        _deployment(Predictor, args.graph.predictor, model_environment).bind(args, open_bundle),
        _deployment(Postprocess, args.graph.postprocess).bind(args),
    )


def _deployment(
    stage: type, size: Size, environment: Mapping[str, str] = MappingProxyType({})
) -> Deployment:
    options = size.options()
    if environment:
        options["ray_actor_options"]["runtime_env"] = {"env_vars": dict(environment)}
    decorate = serve.deployment(
        name=stage.__name__,
        # A model that does not load will not load the next time either: say so at once.
        max_constructor_retry_count=1,
        # A dead replica is replaced at the next check, and its requests wait for that.
        health_check_period_s=2,
        # Whoever waits at a caller asks a full replica again this often. With Ray's half a second
        # the model stood idle between: under 2.5 times its load it answered 75 % of its rate.
        request_router_config={"max_backoff_s": _ASK_AGAIN_S},
        **options,
    )
    deployment: Deployment = decorate(stage)
    return deployment
