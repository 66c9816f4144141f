from benchmarks.measure import Spread, percentile, ratio


def test_ratio_is_of_each_round() -> None:
    # The rounds' own ratios are 2, 3 and 4; the ratio of the medians would be 1.5.
    assert ratio([2.0, 30.0, 4.0], [1.0, 10.0, 1.0]) == Spread(3.0, 2.5, 3.5)


def test_spread_of_one_value_has_no_width() -> None:
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0)


def test_percentile_lies_between_values() -> None:
    assert percentile([10.0, 20.0, 30.0], 50) == 20.0
    assert percentile([0.0, 100.0], 99) == 99.0
