import pytest

from pipeline.image.header import checks


@pytest.fixture
def most_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of parts that an image may have, far fewer than in service."""
    monkeypatch.setattr(checks, "_MAX_PARTS", 100)
    return 100
