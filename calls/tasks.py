"""The one task of the hot queue."""

from celery import shared_task

from calls import runtime


@shared_task(name="calls.attend", ignore_result=True)
def attend(calls: list[str]) -> None:
    """Look into the mailboxes of these calls.

    Only a nudge: it hands the calls to the process's event loop and returns. Losing one loses
    nothing and running one twice does nothing twice, as all that must last lies in the mailboxes.
    """
    runtime.current().submit(calls)
