"""Threads and tasks without which a process is of no use: when one dies, the process ends.

Otherwise it would look well, hold its connections and do nothing, and no supervisor would start
it again. It ends at once and without ceremony: calls outlive a process that is cut off anywhere,
and whatever is told in an orderly end may be what hangs.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

logger = logging.getLogger(__name__)


def vital_task(what: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Begin the work on the running loop. *what* names it in the process's last sentence.

    Cancelling it, and its coming to an end, are in order; an exception ends the process.
    """

    def look(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            end_process(what, error)

    task = asyncio.get_running_loop().create_task(work, name=what)
    task.add_done_callback(look)
    return task


def vital_thread(what: str, run: Callable[[], None], name: str) -> threading.Thread:
    """A daemon thread that is not started yet; an exception in it ends the process."""

    def guarded() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - it is told, and ends the process
            end_process(what, error)

    return threading.Thread(target=guarded, name=name, daemon=True)


def end_process(what: str, error: BaseException) -> NoReturn:
    """Say what has died, and end this process with the status EX_SOFTWARE (70)."""
    logger.critical(
        "%s died of a fault (%s: %s). This process cannot work without it and ends, so that its "
        "supervisor starts it again. No call is lost by that.",
        what,
        type(error).__name__,
        error,
        exc_info=error,
    )
    logging.shutdown()
    os._exit(os.EX_SOFTWARE)
