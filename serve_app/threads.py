import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(
    pool: Executor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run a function in `pool` that would block the event loop, and return its result.

    If the awaiting task is cancelled, the function continues and its result is dropped.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, lambda: _call(function, *args, **kwargs))


def _call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        # A future does not accept StopIteration: it would stay pending for ever.
        raise RuntimeError("the function raised StopIteration") from error
