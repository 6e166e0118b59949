"""The one task of the hot queue."""

from celery import Task, shared_task

from calls.engine import runtime
from calls.engine.intake import known_calls
from calls.engine.nudges import ATTEND


class Nudge(Task):  # type: ignore[type-arg]  # Celery's is not generic when it runs
    """A task that its worker runs as the message comes."""

    Strategy = "calls.engine.strategy:hand_over"


@shared_task(name=ATTEND, base=Nudge, ignore_result=True)
def attend(calls: list[str]) -> None:
    """Look into the mailboxes of these calls.

    Only a nudge: it hands the calls to the process's event loop and returns. Losing one loses
    nothing and running one twice does nothing twice, as all that must last lies in the mailboxes.
    """
    runtime.current().submit(known_calls(calls))
