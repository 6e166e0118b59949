"""The upgrade as docs/upgrading.md says it: the database first, then process by process."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from tests.lab.bench.product import manage
from tests.lab.chaos.field import Field
from tests.lab.errors import LabError
from tests.lab.stack import Checkout, Stack
from tests.lab.upgrade.witness import Witness
from tests.lab.waiting import wait_for

BETWEEN_S = 2.0
"""How long old and new work side by side after each step, with calls beginning and ending."""


def upgrade(
    made: Field, seen_by: Witness, newer: Checkout, say: Callable[[str], None]
) -> list[float]:
    """Take every process to ``newer``; gives when each step was (seconds since the epoch)."""
    moments = []
    for what, step in _steps(made, seen_by, newer):
        moments.append(time.time())
        step()
        say(what)
        time.sleep(BETWEEN_S)
    return moments


def _steps(
    made: Field, seen_by: Witness, newer: Checkout
) -> Iterator[tuple[str, Callable[[], None]]]:
    yield "database", partial(_migrate, made, newer)
    # The one that stands by first; then, once it does again, the one that listens.
    for place in ("standing_by", "listening"):
        stack = getattr(made, place)
        if stack is None:
            raise LabError("Not one bridge listens and one stands by.")
        yield f"bridge ({place.replace('_', ' ')})", partial(_bridge, made, stack, newer)
    for number, stack in enumerate(made.workers, start=1):
        for name in stack.names:
            yield f"{name} {number}", partial(_worker, stack, name, newer)
    yield "webhooks", partial(_worker, seen_by.webhooks, "webhooks", newer)
    for number, stack in enumerate(seen_by.web, start=1):
        yield f"web {number}", partial(_web, seen_by, number, stack, newer)


def _migrate(made: Field, newer: Checkout) -> None:
    manage(made.environment, "migrate", "--verbosity", "0", checkout=newer)


def _bridge(made: Field, stack: Stack, newer: Checkout) -> None:
    stack.checkout = newer
    stack.restart("bridge")
    wait_for(
        lambda: made.listening is not None and made.standing_by is not None,
        timeout_s=30,
        failure=lambda: "Not one bridge listens and one stands by.",
    )


def _worker(stack: Stack, name: str, newer: Checkout) -> None:
    stack.checkout = newer
    stack.restart(name)
    stack.wait_one_ready(name)


def _web(seen_by: Witness, number: int, stack: Stack, newer: Checkout) -> None:
    """The other one goes only once this one answers."""
    _worker(stack, "web", newer)
    wait_for(
        lambda: seen_by.serves(number),
        timeout_s=60,
        failure=lambda: f"web {number} does not answer:\n{stack.log('web')[-2000:]}",
    )
