"""Waiting for something to become true, with a limit and a sentence for when it does not."""

from collections.abc import Callable
from typing import TypeVar

import tenacity

from tests.lab.errors import LabError

T = TypeVar("T")


def wait_for(
    probe: Callable[[], T], *, timeout_s: float, failure: Callable[[], str], poll_s: float = 0.02
) -> T:
    """Call ``probe`` every ``poll_s`` seconds until it gives something true, and give that.

    Raises LabError with the sentence that ``failure`` makes when ``timeout_s`` is over. Errors
    raised by ``probe`` are not caught.
    """
    again = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda result: not result),
        stop=tenacity.stop_after_delay(timeout_s),
        wait=tenacity.wait_fixed(poll_s),
    )
    try:
        return again(probe)
    except tenacity.RetryError:
        raise LabError(failure()) from None
