import torch
from torch import Tensor


def best(scores: Tensor, valid: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the `count` highest valid scores, and whether each index is valid.

    scores: (N, K), those that are valid finite. valid: (N, K) bool. Both results are (N, count) or,
    where count is larger, (N, K). Scores descend; of equal ones the first comes first; what is not
    valid comes last.
    """
    ranked, order = scores.masked_fill(~valid, -torch.inf).sort(dim=1, descending=True, stable=True)
    return order[:, :count], ranked[:, :count] > -torch.inf


def rows_at(values: Tensor, indices: Tensor) -> Tensor:
    """Return the rows (N, C, D) at the indices (N, C) of the values (N, K, D)."""
    return values.gather(1, indices[..., None].expand(-1, -1, values.shape[2]))
