"""The geometry of the charts: SVG that the server draws, so that the page needs no library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, floor, log10

WIDTH, HEIGHT = 600, 160  # of the drawing area, in units of the SVG
_TICKS = 4


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid with its label; `at` is its x or y."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    style: str
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart as the `d` of an SVG path; a gap where there is no value."""

    style: str
    path: str


@dataclass(frozen=True, slots=True)
class Plot:
    """One chart with a table of the same values, for those who cannot see it.

    styles: the name of each series, with its class in operations.css.
    """

    title: str
    unit: str
    styles: tuple[tuple[str, str], ...]
    times: tuple[Tick, ...]
    values: tuple[Tick, ...]
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def is_empty(self) -> bool:
        return not self.bars and not any(line.path for line in self.lines)


def stacked_bars(
    title: str, unit: str, hours: Sequence[datetime], series: Mapping[str, Sequence[int]]
) -> Plot:
    """Return stacked bars, one for each hour; `series` holds a count for each hour, by name."""
    totals = [sum(counts) for counts in zip(*series.values(), strict=True)] or [0]
    top = nice_top(max(totals))
    step = WIDTH / max(1, len(hours))
    bars = []
    for number, hour in enumerate(hours):
        below = 0.0
        for place, (name, counts) in enumerate(series.items()):
            height = counts[number] / top * HEIGHT
            if height:
                bars.append(
                    Bar(
                        x=round(number * step + 1, 2),
                        y=round(HEIGHT - below - height, 2),
                        width=round(step - 2, 2),
                        height=round(height, 2),
                        style=f"series-{place}",
                        title=f"{hour:%H:%M} UTC: {counts[number]} {name}",
                    )
                )
            below += height
    texts = {name: [str(count) for count in counts] for name, counts in series.items()}
    return _plot(title, unit, hours, texts, top, tuple(bars), ())


def lines(
    title: str, unit: str, hours: Sequence[datetime], series: Mapping[str, Sequence[float | None]]
) -> Plot:
    """Return one line for each series; None leaves a gap."""
    known = [value for values in series.values() for value in values if value is not None]
    top = nice_top(max(known, default=0.0))
    step = WIDTH / max(1, len(hours))
    drawn = tuple(
        Line(f"series-{place}", _path(values, step, top))
        for place, values in enumerate(series.values())
    )
    texts = {
        name: ["" if value is None else f"{value:.3g}" for value in values]
        for name, values in series.items()
    }
    return _plot(title, unit, hours, texts, top, (), drawn)


def nice_top(most: float) -> float:
    """Return the upper end of an axis: 1, 2, 4 or 8 times a power of ten, at least `most`."""
    if most <= 0:
        return 1.0
    power = 10.0 ** floor(log10(most))
    return next(power * step for step in (1, 2, 4, 8, 10) if power * step >= most)


def _path(values: Sequence[float | None], step: float, top: float) -> str:
    parts, is_drawing = [], False
    for number, value in enumerate(values):
        if value is None:
            is_drawing = False
            continue
        x, y = (number + 0.5) * step, HEIGHT - value / top * HEIGHT
        # A value between two gaps is a dot: the line ends where it began, with round ends.
        parts.append(f"{'L' if is_drawing else 'M'}{x:.1f} {y:.1f}")
        if not is_drawing:
            parts.append(f"L{x:.1f} {y:.1f}")
        is_drawing = True
    return "".join(parts)


def _plot(
    title: str,
    unit: str,
    hours: Sequence[datetime],
    texts: Mapping[str, Sequence[str]],
    top: float,
    bars: tuple[Bar, ...],
    drawn: tuple[Line, ...],
) -> Plot:
    step = WIDTH / max(1, len(hours))
    every = ceil(len(hours) / 8) or 1
    return Plot(
        title=title,
        unit=unit,
        styles=tuple((name, f"series-{place}") for place, name in enumerate(texts)),
        times=tuple(
            Tick(round((number + 0.5) * step, 1), f"{hour:%H:%M}")
            for number, hour in enumerate(hours)
            if number % every == 0
        ),
        values=tuple(
            Tick(round(HEIGHT * (1 - number / _TICKS), 1), f"{top * number / _TICKS:g}")
            for number in range(_TICKS + 1)
        ),
        bars=bars,
        lines=drawn,
        rows=tuple(
            (f"{hour:%d %b %H:%M}", tuple(column[number] for column in texts.values()))
            for number, hour in enumerate(hours)
        ),
    )
