from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.audit.chain import today

_MOST_DAYS = 3 * 366


class Period(BaseModel):
    """A range of UTC days, both included; by default the last thirty."""

    model_config = ConfigDict(extra="forbid")

    first: date = Field(default_factory=lambda: today() - timedelta(days=29), alias="from")
    last: date = Field(default_factory=today, alias="to")

    @model_validator(mode="after")
    def _is_a_period(self) -> "Period":
        if not 0 <= (self.last - self.first).days < _MOST_DAYS:
            raise ValueError(f"'from' must not lie after 'to', nor {_MOST_DAYS} days before it")
        return self
