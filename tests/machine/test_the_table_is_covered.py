"""The scenarios beside this file are the specification: none of the machine's table is left out.

That every transition stays within what the table declares is asserted by the world itself, in
each of them.
"""

import inspect
import itertools
from types import ModuleType

import pytest

from calls.machine import table
from calls.machine.session import Phase
from calls.machine.signals import Signal
from tests.machine import (
    test_a_call_with_limits,
    test_a_conversation,
    test_a_node_that_never_comes_back,
    test_an_answer_that_only_the_end_tells_of,
    test_an_end_is_final,
    test_an_ordered_call,
    test_finding_a_route,
    test_forgotten_talks_and_answers_that_were_none,
    test_former_attempts,
    test_setting_up_an_attempt,
    test_talk_in_slices,
    test_the_callee_does_not_answer,
    test_the_caller_leaves,
)
from tests.machine.world import World

SCENARIOS = (
    test_a_call_with_limits,
    test_a_conversation,
    test_a_node_that_never_comes_back,
    test_an_answer_that_only_the_end_tells_of,
    test_an_end_is_final,
    test_an_ordered_call,
    test_finding_a_route,
    test_forgotten_talks_and_answers_that_were_none,
    test_former_attempts,
    test_setting_up_an_attempt,
    test_talk_in_slices,
    test_the_callee_does_not_answer,
    test_the_caller_leaves,
)


def run_all(module: ModuleType) -> None:
    """Run a module's tests, with every combination of their parameters."""
    for name, test in inspect.getmembers(module, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        choices = []
        for mark in getattr(test, "pytestmark", ()):
            names = mark.args[0]
            names = names.split(",") if isinstance(names, str) else names
            rows = [row if len(names) > 1 else (row,) for row in mark.args[1]]
            choices.append([dict(zip(names, row, strict=True)) for row in rows])
        for combination in itertools.product(*choices):
            test(**{key: value for row in combination for key, value in row.items()})


@pytest.fixture(scope="module")
def taken() -> set[tuple[Phase, Signal, Phase]]:
    """Every step that the scenarios take."""
    World.taken.clear()
    for module in SCENARIOS:
        run_all(module)
    return set(World.taken)


def test_every_entry_of_the_table_is_exercised_by_a_scenario(taken):
    assert set(table.TABLE) - {(phase, signal) for phase, signal, _ in taken} == set()


def test_every_phase_that_an_entry_may_lead_to_is_reached_by_a_scenario(taken):
    # The end of a call that has nothing to take down is over at once: both are the same arrow.
    over = {(phase, signal, Phase.ENDING) for phase, signal, after in taken if after is Phase.OVER}
    declared = {(*key, after) for key, row in table.TABLE.items() for after in row.to}

    assert declared - taken - over == set()
