from collections.abc import Callable
from functools import partial

from ray import serve
from ray.serve import Application, Deployment

from serve_app.args import AppArgs, Fused, Size
from serve_app.deployed_bundle import open_deployed_bundle
from serve_app.graph import FusedGraph, Graph, StagedGraph
from serve_app.ingress import Ingress
from serve_app.ray_metrics import RayMetrics
from serve_app.replacement import ReplaceableGraph
from serve_app.stages import OpenBundle, Postprocess, Predictor, Preprocess

_ASK_AGAIN_S = 0.05
# Behind HAProxy, an ingress that shuts down keeps receiving requests for 30 s.
_SHUTDOWN_MARGIN_S = 35.0


def build_app(args: AppArgs) -> Application:
    """Build the application from the `args` of a profile, which names this as `import_path`."""
    return wire(args, partial(open_deployed_bundle, args.model.bundle_sha256))


def wire(args: AppArgs, open_bundle: OpenBundle) -> Application:
    """Return the graph of deployments. Tests bring an `open_bundle` of their own."""
    ingress = serve.ingress()(Ingress)
    deployment = partial(_deployment, args)
    if isinstance(args.graph, Fused):
        service = deployment(ingress, "LesionService", args.graph.ingress)
        build = partial(FusedGraph, args, open_bundle, RayMetrics)
        graph: Callable[[], Graph] = partial(ReplaceableGraph, build)
        return service.bind(args, graph)
    return deployment(ingress, "Ingress", args.graph.ingress).bind(
        args,
        StagedGraph,
        deployment(Preprocess, "Preprocess", args.graph.preprocess).bind(
            args, open_bundle, RayMetrics
        ),
        deployment(Predictor, "Predictor", args.graph.predictor).bind(
            args, open_bundle, RayMetrics
        ),
        deployment(Postprocess, "Postprocess", args.graph.postprocess).bind(args, RayMetrics),
    )


def _deployment(args: AppArgs, stage: type, name: str, size: Size) -> Deployment:
    options = size.options()
    # An admitted request may run until its deadline.
    options.setdefault("graceful_shutdown_timeout_s", args.deadline.max_s + _SHUTDOWN_MARGIN_S)
    # No runtime_env: Ray would start a worker for it alone, which imports Ray twice.
    decorate = serve.deployment(
        name=name,
        # A model that does not load would not load at the next attempt: fail at once.
        max_constructor_retry_count=1,
        # A dead replica is replaced at the next check, and its requests wait until then.
        health_check_period_s=2,
        # How often a caller asks a full replica again. With Ray's default of half a second the
        # model stood idle in between: under 2.5 times its load it answered 75 % of its rate.
        request_router_config={"max_backoff_s": _ASK_AGAIN_S},
        **options,
    )
    deployment: Deployment = decorate(stage)
    return deployment
