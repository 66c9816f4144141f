from importlib.util import find_spec

import pytest

from benchmarks.__main__ import GROUPS, PARTS, expanded, module


def test_group_stands_for_its_parts_in_their_order() -> None:
    parts = ["cost", "serving-demo", "serving-r50", "usage"]
    assert expanded(["cost", "serving", "usage"]) == parts


def test_part_stands_for_itself() -> None:
    assert expanded(PARTS) == list(PARTS)


@pytest.mark.parametrize("group", GROUPS)
def test_group_holds_parts_only(group: str) -> None:
    assert set(GROUPS[group]) <= set(PARTS)
    assert group not in PARTS


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_a_module(part: str) -> None:
    assert find_spec(f"benchmarks.{part.replace('-', '_')}") is not None


def test_part_with_hyphen_runs() -> None:
    assert callable(module("serving-demo").run)
