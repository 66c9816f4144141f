import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from serve_app.paths import ROOT
from tests.faults.stack import Crowd, GatewayProcess, Outcome, compare_books, finish, statuses

_TABLE = ROOT / "out/nodes.md"


@dataclass
class Report:
    """The clients' books of one situation, compared with the audit trail."""

    gateway: GatewayProcess
    folder: Path
    clients: int

    def close(self, situation: str, crowd: Crowd) -> Counter[int | None]:
        """Compare the books, add a line to out/nodes.md, and return the requests by status.

        Every answer has exactly one record with the same status, and no client lost one.
        """
        outcomes = crowd.stop()
        books = compare_books(outcomes, finish(self.gateway, self.folder), self.clients, 0)
        assert books["lost"] == 0
        counts = statuses(outcomes)
        line = f"| {situation} | {len(outcomes)} | {_counts(counts)} | {self._attempts()} | "
        line += f"{_longest(outcomes):.1f} s |"
        print(f"\n{line}", flush=True)
        for refusal in self._refusals():
            print(refusal, flush=True)
        _TABLE.parent.mkdir(exist_ok=True)
        with _TABLE.open("a") as table:
            table.write(f"{line}\n")
        return counts

    def versions(self) -> list[str]:
        """Return the versions of the model in the records of successes, in their order."""
        return self._column("model_version")

    def _attempts(self) -> int:
        """Return how many answers took more than one attempt."""
        return sum(int(number) > 1 for number in self._column("attempts"))

    def _refusals(self) -> list[str]:
        """Return the error of each answer that was none of a success, for the reader of a log."""
        columns = "received_at, status, error_code, attempts, latency_ms"
        return [str(row) for row in self._rows(columns, "state != 'succeeded'")]

    def _column(self, name: str) -> list[str]:
        return [str(value) for (value,) in self._rows(name, "state = 'succeeded'")]

    def _rows(self, columns: str, condition: str) -> list[tuple[object, ...]]:
        query = f"SELECT {columns} FROM usage_record WHERE {condition} ORDER BY received_at"
        with closing(sqlite3.connect(self.folder / "gateway.sqlite3")) as database:
            return list(database.execute(query))


def _counts(counts: Counter[int | None]) -> str:
    return ", ".join(f"{number} \u00d7 {status}" for status, number in counts.most_common())


def _longest(outcomes: list[Outcome]) -> float:
    return max(outcome.seconds for outcome in outcomes)
