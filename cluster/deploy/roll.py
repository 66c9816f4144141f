"""Roll a planned version in, and go back to the one before where it does not serve."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from cluster.deploy.errors import (
    REASON_LETTERS,
    error_line,
    not_rolled_back,
    rolled_back,
)
from cluster.deploy.interrupts import FirstInterrupt
from cluster.deploy.plan import Plan, model_name
from cluster.deploy.serve_client import CLUSTER_ERRORS, Application, ServeClient
from pipeline.text import one_line

Say = Callable[[str], None]


class RollFailed(Exception):
    """The new version does not serve. `str(error)` is the reason in one line."""


@dataclass(frozen=True)
class Roll:
    """One roll of `plan` over the application `before`, as it was read last; None for the first.

    Rolling in and rolling back have `within_s` seconds each. `say` takes a line of progress.
    """

    plan: Plan
    before: Application | None
    client: ServeClient
    within_s: float
    say: Say
    poll_s: float = 1.0

    def run(self) -> None:
        """Return once the new version alone serves. Raise StackError where it does not.

        SIGINT, SIGTERM and SIGHUP end the roll, and have it go back.
        """
        self.say(f"rolling: {self.plan.name} to {self.plan.model}")
        with FirstInterrupt() as interrupts:
            try:
                self._roll_in()
            except RollFailed as error:
                reason = str(error)
            except KeyboardInterrupt:
                reason = "interrupted"
            else:
                self.say(f"serves: {self.plan.model}")
                return
            interrupts.ignore_further()
            self._go_back(reason)

    @property
    def _old(self) -> frozenset[str]:
        return frozenset() if self.before is None else self.before.replicas

    def _roll_in(self) -> None:
        self._put(self.plan.whole)
        end = time.monotonic() + self.within_s
        self._await_replicas(self.plan.deployment, self._old, end)
        self._await_answer(self.plan.manifest.digest, end)

    def _put(self, config: Mapping[str, Any]) -> None:
        try:
            self.client.put(config)
        except CLUSTER_ERRORS as error:
            raise RollFailed(f"Ray Serve refused it: {error_line(error)}") from error

    def _await_replicas(self, deployment: str | None, leaving: frozenset[str], end: float) -> None:
        """Return once each stage has a replica that runs, and none of `leaving` is left.

        Ray calls an application RUNNING that scales while it rolls, with old replicas in it; so
        the replicas are asked for. Raise RollFailed where the deployment fails, or time is up.
        """
        last, reason = "", "the cluster does not answer"
        while True:
            is_late = time.monotonic() > end
            application = self._application()
            if application is not None:
                self._check_own(application)
                if application.deployment == deployment:
                    if application.status == "DEPLOY_FAILED":
                        raise RollFailed(_short(application.reason))
                    if application.has_replaced(leaving) and (
                        application.status == "RUNNING" or is_late
                    ):
                        return
                reason = application.reason or "replicas are starting"
                line = _progress(application, leaving)
                if line != last:
                    self.say(line)
                last = line
            if is_late:
                raise RollFailed(f"not healthy within {self.within_s:.0f} s: {_short(reason)}")
            time.sleep(self.poll_s)

    def _application(self) -> Application | None:
        try:
            return self.client.read().applications.get(self.plan.name)
        except CLUSTER_ERRORS:
            return None  # the dashboard may be unreachable for a moment

    def _check_own(self, application: Application) -> None:
        """Raise StackError where somebody else has deployed meanwhile."""
        known = {self.plan.deployment, None if self.before is None else self.before.deployment}
        if application.deployment not in known:
            raise not_rolled_back(
                f"another deployment ({application.deployment}) took the place of "
                f"{self.plan.model} while it rolled, and was left alone; `serve status` shows what "
                "serves"
            )

    def _await_answer(self, digest: str | None, end: float) -> None:
        """Return once the bundle with this digest answers; any bundle for None.

        A busy service may take its time to say which one it is.
        """
        while (manifest := self.client.manifest(self.plan.name)) is None:
            if time.monotonic() > end:
                raise RollFailed("Ray Serve calls it running, but it does not answer")
            time.sleep(self.poll_s)
        if digest is not None and manifest["digest"] != digest:
            raise RollFailed(f"it answers from {model_name(manifest)}")

    def _go_back(self, reason: str) -> NoReturn:
        before = self.before
        if before is None and self.plan.beside:
            self._withdraw(reason)
        if before is None or before.config is None or not before.has_served:
            self._stay(reason)
        self.say(f"{self.plan.model} does not serve: {reason}")
        self.say("rolling back to what was deployed before; signals are ignored until it serves")
        end = time.monotonic() + self.within_s
        now = self._application()
        new = frozenset() if now is None else now.replicas - self._old
        try:
            self._put(self.plan.with_applications(before.config))
            self._await_replicas(before.deployment, new, end)
            self._await_answer(before.bundle_sha256, end)
        except RollFailed as error:
            raise not_rolled_back(
                f"{self.plan.model} does not serve ({reason}), and rolling back failed: {error}; "
                "see `serve status`, and deploy the bundle of before"
            ) from error
        raise rolled_back(f"rolled back, the version before serves: {reason}")

    def _withdraw(self, reason: str) -> NoReturn:
        """Raise StackError once what was never deployed before is gone from beside the other."""
        failed = f"{self.plan.model} does not serve: {reason}"
        try:
            self._put(self.plan.with_applications())
        except RollFailed as error:
            raise not_rolled_back(
                f"{failed}, and it could not be removed: {error}; see `serve status`"
            ) from error
        raise rolled_back(f"removed again, {self.plan.other} serves as before: {failed}")

    def _stay(self, reason: str) -> NoReturn:
        """Raise StackError that says what serves, where nothing sound can be gone back to."""
        failed = f"{self.plan.model} does not serve: {reason}"
        if self.before is None:
            raise not_rolled_back(
                f"{failed}; no version was deployed before, to go back to. Mend that and deploy "
                "again"
            )
        manifest = self.client.manifest(self.plan.name)
        now = "no version answers" if manifest is None else f"{model_name(manifest)} answers"
        raise not_rolled_back(
            f"{failed}; the version before was not deployed whole either, so that there is "
            f"nothing to go back to. Now {now}; deploy a good bundle, since Ray replaces no "
            "replica of what failed"
        )


def _progress(application: Application, leaving: frozenset[str]) -> str:
    parts = []
    for name, deployment in application.deployments.items():
        new = [state for replica, state in deployment.replicas.items() if replica not in leaving]
        left = len(deployment.replicas) - len(new)
        parts.append(f"{name} {new.count('RUNNING')} new, {left} old")
    return "rolling: " + ("; ".join(parts) or "Ray Serve builds the graph")


def _short(reason: str) -> str:
    return one_line(reason, REASON_LETTERS)
