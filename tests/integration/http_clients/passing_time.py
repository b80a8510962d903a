"""Time that passes at once, so that nothing that a slow machine does can take as long."""

import asyncio


async def pass_time(seconds: float) -> None:
    """Let so many seconds pass for the timers of the running event loop; those that are due have fired then."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]  # the loop ends with the test
    for _ in range(2):  # timers come after whoever waits only for his turn
        await asyncio.sleep(0)
