from pydantic import BaseModel


class Section(BaseModel):
    """A part of a report below its heading: sentences, then facts by name, then a table."""

    heading: str
    lines: list[str] = []
    facts: list[tuple[str, str]] = []
    head: list[str] = []
    rows: list[list[str]] = []
