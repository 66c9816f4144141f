import json
from pathlib import Path

import promql_parser
import pytest
import yaml

from cluster.monitoring.grafana.__main__ import FOLDER
from cluster.monitoring.grafana.board import Board
from cluster.monitoring.grafana.boards import BOARDS

PROVISIONING = FOLDER.parent / "provisioning"
# Grafana's own variables, which it replaces before it asks Prometheus.
VARIABLES = {"$__rate_interval": "5m"}


def expressions(board: Board) -> list[str]:
    return [query for panel in board.panels for query in panel.queries.values()]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_committed_dashboard_is_what_its_code_writes(board: Board) -> None:
    assert (FOLDER / f"{board.uid}.json").read_text(encoding="utf-8") == board.json()


def test_folder_holds_no_other_dashboard() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {board.uid for board in BOARDS}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_expressions_of_dashboard_are_promql(board: Board) -> None:
    for expression in expressions(board):
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        promql_parser.parse(expression)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_have_distinct_titles_and_ids(board: Board) -> None:
    panels = json.loads(board.json())["panels"]

    assert len({panel["title"] for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_fill_the_grid_without_overlap(board: Board) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(board.json())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        covered = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not covered & cells
        cells |= covered


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_name_what_they_show(board: Board) -> None:
    for panel in board.panels:
        assert panel.description.endswith("."), panel.title
        assert panel.queries, panel.title


@pytest.mark.parametrize(
    "path", sorted(PROVISIONING.rglob("*.yaml")), ids=lambda path: path.parent.name
)
def test_provisioning_file_is_of_version_1(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert content["apiVersion"] == 1
    assert content.keys() == {
        "apiVersion",
        path.parent.name if path.parent.name != "dashboards" else "providers",
    }
