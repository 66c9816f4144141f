from datetime import UTC, datetime, timedelta

import pytest

from gateway.monitor.plots import HEIGHT, WIDTH, lines, nice_top, stacked_bars

HOURS = [datetime(2026, 11, 26, 8, tzinfo=UTC) + timedelta(hours=number) for number in range(3)]


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (1, 1), (1.1, 2), (3, 4), (7, 8), (9, 10), (0.03, 0.04), (801, 1000)]
)
def test_axis_ends_at_round_number_above_values(most: float, top: float) -> None:
    assert nice_top(most) == pytest.approx(top)


def test_bars_of_one_hour_stand_on_each_other() -> None:
    plot = stacked_bars("Images", "", HOURS, {"answered": [3, 0, 0], "failed": [1, 0, 0]})
    lower, upper = plot.bars
    assert (lower.height, upper.height) == (HEIGHT * 3 / 4, HEIGHT / 4)
    assert lower.y + lower.height == HEIGHT
    assert upper.y + upper.height == lower.y
    assert (lower.title, upper.title) == ("08:00 UTC: 3 answered", "08:00 UTC: 1 failed")


def test_bars_stay_within_width_of_chart() -> None:
    plot = stacked_bars("Images", "", HOURS, {"answered": [1, 2, 3]})
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH for bar in plot.bars)


def test_line_has_gap_where_no_value_is() -> None:
    plot = lines("Time", "s", HOURS, {"half": [1.0, None, 2.0]})
    (line,) = plot.lines
    assert line.path == "M100.0 80.0L100.0 80.0M500.0 0.0L500.0 0.0"


def test_table_holds_values_of_chart() -> None:
    plot = lines("Time", "s", HOURS, {"half": [1.0, None, 2.0], "most": [1.5, None, 2.25]})
    assert plot.rows[0] == ("26 Nov 08:00", ("1", "1.5"))
    assert plot.rows[1] == ("26 Nov 09:00", ("", ""))


def test_chart_without_values_is_empty() -> None:
    assert stacked_bars("Images", "", HOURS, {"answered": [0, 0, 0]}).is_empty
    assert lines("Time", "s", HOURS, {"half": [None, None, None]}).is_empty
