"""Measure what monitoring costs: `lesionserve up` with all of it beside `up` as it is by default.

With all of it: Prometheus and Alertmanager beside the service, and a trace of each hundredth image
sent to a collector. The probes and the replicas' self-checks run in both. Each round starts the
contenders one after the other, so that an idle one takes nothing from another.
"""

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat

from benchmarks.launch import launched
from benchmarks.load import Outcome, apply, form_request
from benchmarks.measure import Spread, ratio
from benchmarks.overhead import small_image
from benchmarks.report import Figure, Result
from cluster.launcher.ports import choose_ports

ROUNDS = 4
CLIENTS = 16
WARM_UP_S = 5.0
SECONDS = 30.0  # several scrapes and evaluations of the rules
WANTED = 0.97  # of the throughput without
_START_WITHIN_S = 180.0


@dataclass(frozen=True, slots=True)
class Contender:
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def run() -> Result:
    with _collector() as collector:
        contenders = _contenders(collector)
        rounds = [
            {name: _measure(contender) for name, contender in contenders.items()}
            for _ in range(ROUNDS)
        ]
    rates = {name: [outcomes[name].per_second for outcomes in rounds] for name in contenders}
    for name, values in rates.items():
        print(f"monitoring: {name}: {Spread.of(values)} images/s", file=sys.stderr)
    failed = sum(
        len(outcome.answers) - len(outcome.good)
        for outcomes in rounds
        for outcome in outcomes.values()
    )
    plain, *monitored = rates
    figures = [
        Figure(
            f"throughput of `up`, {name}, to that without",
            f"at least {WANTED}",
            f"{(share := ratio(rates[name], rates[plain]))}; {failed} failed",
            share.median >= WANTED and failed == 0,
        )
        for name in monitored
    ]
    return Result("monitoring", figures, {"images_per_second": rates})


def _contenders(collector: str) -> dict[str, Contender]:
    prometheus, alertmanager = choose_ports([None, None])
    monitoring = (
        "--monitoring",
        *("--prometheus-port", str(prometheus)),
        *("--alertmanager-port", str(alertmanager)),
    )
    return {
        "by default": Contender(),
        "with Prometheus and Alertmanager": Contender(monitoring),
        "with these and tracing": Contender(
            monitoring, {"LESIONSERVE_OTLP_ENDPOINT": collector, "LESIONSERVE_TRACE_SHARE": "0.01"}
        ),
    }


def _measure(contender: Contender) -> Outcome:
    with launched(*contender.options, **contender.environment) as service:
        ready = service.await_ready(_START_WITHIN_S)
        request = form_request(f"{ready.url}/predict/", {"X-API-Key": ready.key}, small_image())
        apply(ready.url, repeat(request), CLIENTS, WARM_UP_S)
        return apply(ready.url, repeat(request), CLIENTS, SECONDS)


class _Collector(BaseHTTPRequestHandler):
    """Take what is sent, as a collector of OTLP over HTTP does."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def _collector() -> Iterator[str]:
    """Yield the address of a collector on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
