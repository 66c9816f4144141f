from enum import Enum


class Level(Enum):
    """How something is. The values are names of classes in operations.css."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    UNKNOWN = "unknown"

    @property
    def word(self) -> str:
        """Return the word beside the colour, which not everybody sees."""
        return _WORDS[self]


_WORDS = {
    Level.GOOD: "Good",
    Level.WARNING: "Attention",
    Level.BAD: "Not working",
    Level.UNKNOWN: "Not known",
}
