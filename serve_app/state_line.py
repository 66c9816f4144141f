"""Lines of JSON by which a process tells its state to the one that started it."""

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError


class StateLine(BaseModel):
    """A state that is printed as one line of JSON, such as `{"state":"ready"}`.

    Whatever else the process prints stays in between. The first field has no default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def read_all(cls, text: str) -> list[Self]:
        """Return the states in a log. A line may begin with other output, or be half written."""
        first = next(iter(cls.model_fields))
        states = []
        for line in text.splitlines():
            _, mark, rest = line.partition(f'{{"{first}":')
            try:
                states += [cls.model_validate_json(mark + rest)] if mark else []
            except ValidationError:
                continue
        return states

    def print(self) -> None:
        print(self.model_dump_json(exclude_none=True), flush=True)
