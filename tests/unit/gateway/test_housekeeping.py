import asyncio

import pytest

from gateway.proxy import housekeeping


async def test_a_chore_that_fails_ends_neither_the_others_nor_itself(monkeypatch, caplog):
    done: list[str] = []

    def fails() -> None:
        done.append("fails")
        raise OverflowError("whatever it was")

    monkeypatch.setattr(housekeeping, "_EVERY_S", 0.01)
    monkeypatch.setattr(housekeeping, "sweep", fails)
    monkeypatch.setattr(housekeeping, "fold", fails)
    monkeypatch.setattr(housekeeping, "forget_expired", lambda: done.append("forgets"))
    # Nothing of this touches the database.
    monkeypatch.setattr(housekeeping, "background", call)
    chores = asyncio.create_task(housekeeping.keep_house())
    for _ in range(1000):
        if len(done) >= 6:
            break
        await asyncio.sleep(0.01)
    chores.cancel()
    with pytest.raises(asyncio.CancelledError):
        await chores
    assert done[:6] == ["fails", "fails", "forgets"] * 2
    assert "chore failed" in caplog.text


async def call(chore):
    return chore()
