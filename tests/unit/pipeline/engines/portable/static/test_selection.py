import torch

from pipeline.engines.portable.static.selection import best, rows_at


def test_best_scores_descend_and_ties_keep_their_order() -> None:
    scores = torch.tensor([[0.2, 0.9, 0.2, 0.5]])
    indices, valid = best(scores, torch.ones(1, 4, dtype=torch.bool), 3)
    assert (indices.tolist(), valid.tolist()) == ([[1, 3, 0]], [[True, True, True]])


def test_invalid_scores_come_last() -> None:
    scores = torch.tensor([[0.9, float("nan"), 0.1, float("inf")]])
    indices, valid = best(scores, torch.tensor([[False, False, True, False]]), 2)
    assert (indices[0, 0].item(), valid.tolist()) == (2, [[True, False]])


def test_no_more_are_returned_than_there_are() -> None:
    indices, valid = best(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool), 9)
    assert indices.shape == valid.shape == (2, 3)


def test_rows_are_taken_from_their_own_image() -> None:
    values = torch.arange(12).view(2, 3, 2)
    rows = rows_at(values, torch.tensor([[2, 0], [1, 1]]))
    assert rows.tolist() == [[[4, 5], [0, 1]], [[8, 9], [8, 9]]]
