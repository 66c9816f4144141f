"""The base of the public contract's parts, and the texts in them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

# Names appear in records, logs, tables and pages, so they are one line of bounded length.
_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]+$"
Name = Annotated[str, StringConstraints(max_length=100, pattern=_ONE_LINE)]
Label = Annotated[str, StringConstraints(max_length=200, pattern=_ONE_LINE)]


def without_sign(value: float | None) -> float | None:
    """Return 0 for -0.0: databases store it as 0, and the seal over a record would not match."""
    return None if value is None else value + 0.0


class Schema(BaseModel):
    """A frozen part of the public contract, which refuses unknown fields and NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
