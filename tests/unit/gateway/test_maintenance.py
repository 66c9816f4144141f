import asyncio

import pytest

from gateway import maintenance


async def test_failing_task_stops_no_other_task(monkeypatch, caplog):
    done: list[str] = []

    def fails() -> None:
        done.append("fails")
        raise OverflowError("whatever it was")

    monkeypatch.setattr(maintenance, "_EVERY_S", 0.01)
    monkeypatch.setattr(maintenance, "sweep", fails)
    monkeypatch.setattr(maintenance, "fold", fails)
    monkeypatch.setattr(maintenance, "forget_expired", lambda: done.append("forgets"))
    for name in ("note_served_models", "prune_runs", "prune_alerts"):
        monkeypatch.setattr(maintenance, name, lambda: None)
    # Nothing of this touches the database.
    monkeypatch.setattr(maintenance, "background", call)
    tasks = asyncio.create_task(maintenance.run_maintenance())
    for _ in range(1000):
        if len(done) >= 6:
            break
        await asyncio.sleep(0.01)
    tasks.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks
    assert done[:6] == ["fails", "fails", "forgets"] * 2
    assert "periodic task failed" in caplog.text


async def call(task):
    return task()
