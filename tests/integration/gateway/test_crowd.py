"""Many at once, on one database: quotas are exact, keys are used once, the trail has no gap."""

import threading
from collections import Counter
from collections.abc import Callable
from io import StringIO

from django.core.management import call_command
from django.db import connections

from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event, Record
from gateway.people.models import Organisation
from gateway.usage.models import Tally
from gateway.usage.tally import fold
from tests.clinics import issue_key
from tests.integration.gateway.client import Gateway, form, jpeg, part
from tests.integration.gateway.ingress import FakeIngress

IMAGE = form(part(jpeg()))
CROWD = 8


def together(work: Callable[[int], object]) -> list[object]:
    """What each of a crowd of threads returns; all begin at the same moment."""
    results: list[object] = [None] * CROWD
    start = threading.Barrier(CROWD)

    def run(number: int) -> None:
        start.wait(30)
        results[number] = work(number)
        connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_quota_is_exact_under_concurrent_requests(gateway: Gateway, ingress: FakeIngress):
    header = f"X-API-Key: {issue_key(requests_per_day=10)[1]}"
    statuses: Counter[int] = Counter()
    for batch in together(lambda _: [gateway.predict(IMAGE, header).status for _ in range(4)]):
        statuses.update(batch)  # type: ignore[arg-type]
    assert statuses == {200: 10, 429: 22}
    assert len(ingress.sent) == 10


def test_organisation_quota_is_exact_over_all_keys(gateway: Gateway, ingress: FakeIngress):
    headers = [f"X-API-Key: {issue_key(str(number))[1]}" for number in range(CROWD)]
    Organisation.objects.update(requests_per_day=10)
    statuses: Counter[int] = Counter()
    for batch in together(lambda n: [gateway.predict(IMAGE, headers[n]).status for _ in range(4)]):
        statuses.update(batch)  # type: ignore[arg-type]
    assert statuses == {200: 10, 429: 22}


def test_concurrent_requests_of_same_key_make_one_inference(gateway, ingress, key):
    answers = together(lambda _: gateway.predict(IMAGE, key, "Idempotency-Key: the-same"))
    assert {answer.status for answer in answers} <= {200, 409}
    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    assert len(ingress.sent) == 1


def test_trail_of_concurrent_requests_is_complete(gateway, ingress, key):
    def work(number: int) -> None:
        for _ in range(4):
            gateway.predict(IMAGE, key)
            gateway.predict(b"no form", key)
            record_event(Event.Action.USAGE_READ, Actor(f"user:{number}"))
            fold()

    together(work)
    call_command("verify_audit", stdout=StringIO())
    count = CROWD * 4
    positions = Record.objects.order_by("position").values_list("position", flat=True)
    assert list(positions) == list(range(1, 2 * count + 1))
    assert Event.objects.filter(action="usage.read").count() == count
    fold()
    outcomes = Tally.objects.filter(dimension="outcome").values_list("value", "count")
    assert dict(outcomes) == {"succeeded": count, "rejected": count}
