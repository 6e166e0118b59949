"""Every event and command has words of its own."""

import typing

import pytest

from calls.machine import commands, events
from calls.story.words import command_words, event_words

EVENTS = typing.get_args(events.MailboxEvent) + typing.get_args(events.Result)


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_has_words(kind):
    assert event_words.dispatch(kind) is not event_words.dispatch(object)


@pytest.mark.parametrize("kind", typing.get_args(commands.Command))
def test_a_command_has_words(kind):
    assert command_words.dispatch(kind) is not command_words.dispatch(object)
