from benchmarks.gpu_published import PUBLISHED
from benchmarks.gpu_report import figures, markdown, table
from benchmarks.gpu_step import Row, StepResult


def parity(execution: str, *, within: bool, precision: str = "float32") -> Row:
    return {"execution": execution, "precision": precision, "case": "r50", "within": within}


def speed(execution: str, precision: str, batch: int, ratio: float, against: str) -> Row:
    return {
        "execution": execution,
        "precision": precision,
        "batch": batch,
        "against": against,
        "ratio": f"{ratio} (1 to 2)",
        "ratio_median": ratio,
        "rounds": [{"base_s": 1.0}],
    }


def test_nothing_is_claimed_that_was_not_measured() -> None:
    assert {(f.measured, f.met) for f in figures({})} == {("not in this run", None)}
    text = markdown("a GPU", {"parity": StepResult([], ["it failed"])})
    assert "Nothing was measured." in text
    assert "- it failed" in text


def test_parity_names_each_wrong_case() -> None:
    rows = [
        parity("eager", within=True),
        parity("graphs", within=False),
        parity("static", within=False, precision="bfloat16"),
    ]
    figure = figures({"parity": StepResult(rows)})[0]
    assert (figure.measured, figure.met) == ("1 of 2; graphs: r50", False)


def test_best_of_each_precision_is_compared() -> None:
    rows = [
        speed("eager", "float32", 1, 0.9, "DefaultPredictor"),
        speed("graphs", "float32", 8, 3.9, "DefaultPredictor"),
        speed("graphs", "bfloat16", 16, 4.0, "DefaultPredictor"),
    ]
    _, single, half = figures({"engines": StepResult(rows)})
    assert (single.measured, single.met) == ("3.9 (1 to 2); graphs, batches of 8", False)
    assert (half.measured, half.met) == ("4.0 (1 to 2); graphs, batches of 16", True)


def test_target_is_open_without_defaultpredictor() -> None:
    rows = [speed("graphs", "float32", 8, 9.0, "eager, float32, one by one")]
    figure = figures({"engines": StepResult(rows)})[1]
    assert figure.met is None
    assert figure.measured.endswith("to eager, float32, one by one")


def test_table_has_every_key_but_the_details() -> None:
    rows: list[Row] = [{"a": 1.23456, "rounds": [1]}, {"a": None, "b": "x|y"}]
    assert table(rows) == "| a | b |\n| --- | --- |\n| 1.235 |  |\n|  | x\\|y |"


def test_published_figures_name_their_source() -> None:
    text = markdown("a GPU", {})
    for published in PUBLISHED:
        assert published.figure in text
        assert published.source.startswith("https://github.com/")
        assert published.source in text
