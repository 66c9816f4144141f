"""The table of a drill."""

from collections.abc import Sequence

from tests.faults.drill.drill import Row

_HEAD = (
    "| fault | alert | stated | arrived | resolved, stated | resolved | other pages |\n"
    "|---|---|---|---|---|---|---|"
)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown. Times are seconds of the scaled rules."""
    return "\n".join([_HEAD, *map(_line, rows)]) + "\n"


def _line(row: Row) -> str:
    fault = row.fault
    alert = f"{fault.alert.removeprefix('Lesionserve')} ({fault.severity})"
    others = ", ".join(name.removeprefix("Lesionserve") for name in row.others) or "none"
    times = (
        fault.arrives.stated_s,
        row.arrived_s,
        fault.resolves.stated_s,
        row.resolved_s,
    )
    seconds = " | ".join(f"{time:.0f} s" for time in times)
    return f"| {fault.name} | {alert} | {seconds} | {others} |"
