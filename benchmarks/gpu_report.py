"""Write the tables of the GPU benchmark from what its steps wrote."""

from collections.abc import Mapping, Sequence

from benchmarks.gpu_published import PUBLISHED
from benchmarks.gpu_step import Row, StepResult
from benchmarks.report import NO_TARGET, Figure

WANTED = 4.0
_TITLES = {
    "parity": "Detectron2's recorded answers",
    "engines": "R50-FPN, 1280x960, from images to pasted masks and the engine alone",
    "service-demo": "The staged service with the demo bundle",
    "service-r50": "The staged service with R50-FPN",
}
# What only the JSON has.
_DETAILS = ("rounds", "ratio_median")


def figures(results: Mapping[str, StepResult]) -> list[Figure]:
    """Return the figures for the terminal; "not in this run" for what no step measured."""
    return [
        _parity_figure(results.get("parity", StepResult()).rows),
        *(
            _speed_figure(precision, results.get("engines", StepResult()).rows)
            for precision in ("float32", "bfloat16")
        ),
    ]


def markdown(gpu: str, results: Mapping[str, StepResult]) -> str:
    """Return the report: a table for each step, what was left out, and published figures."""
    parts = [f"# On a GPU\n\n{gpu}"]
    for name, result in results.items():
        parts.append(f"## {_TITLES.get(name, name)}")
        parts.append(table(result.rows) if result.rows else "Nothing was measured.")
        parts += [f"- {note}" for note in result.notes]
    parts.append("## Published by others, on other machines, images and software")
    rows = [
        {
            "software": p.software,
            "GPU": p.gpu,
            "precision": p.precision,
            "batch": p.batch,
            "figure": p.figure,
            "source": p.source,
        }
        for p in PUBLISHED
    ]
    parts.append(table(rows))
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table. A row may lack keys of others."""
    columns = [
        key for key in dict.fromkeys(key for row in rows for key in row) if key not in _DETAILS
    ]
    lines = [columns, ["---"] * len(columns)]
    lines += [[_cell(row.get(column)) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _parity_figure(rows: Sequence[Row]) -> Figure:
    target = "2 Detectron2's recorded answers in float32 on a GPU"
    exact = [row for row in rows if row["precision"] == "float32"]
    if not exact:
        return Figure(target, "every case", "not in this run", None)
    wrong = [f"{row['execution']}: {row['case']}" for row in exact if not row["within"]]
    measured = f"{len(exact) - len(wrong)} of {len(exact)}" + "".join(f"; {w}" for w in wrong)
    return Figure(target, "every case", measured, not wrong)


def _speed_figure(precision: str, rows: Sequence[Row]) -> Figure:
    """Return the fastest of a precision beside DefaultPredictor, if it was there."""
    target = f"2 R50-FPN on a GPU: portable {precision} / DefaultPredictor, images/s"
    mine = [row for row in rows if row["precision"] == precision]
    if not mine:
        return Figure(target, f">= {WANTED:g}", "not in this run", None)
    best = max(mine, key=lambda row: row["ratio_median"])
    measured = f"{best['ratio']}; {best['execution']}, batches of {best['batch']}"
    if best["against"] != "DefaultPredictor":
        return Figure(target, NO_TARGET, f"{measured}, to {best['against']}", None)
    return Figure(target, f">= {WANTED:g}", measured, best["ratio_median"] >= WANTED)
