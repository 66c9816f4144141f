"""Write the dashboards: `python -m cluster.monitoring.grafana`. Run it after changing a panel."""

from pathlib import Path

from cluster.monitoring.grafana.boards import BOARDS

FOLDER = Path(__file__).parent / "dashboards"


def main() -> None:
    for board in BOARDS:
        (FOLDER / f"{board.uid}.json").write_text(board.json(), encoding="utf-8")


if __name__ == "__main__":
    main()
