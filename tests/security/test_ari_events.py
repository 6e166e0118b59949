"""What may come over the WebSocket: an Asterisk that is somebody else's, or has gone mad."""

import pytest

from ari_bridge.listener import Listener
from ari_bridge.node import AriNode
from tests.security.inputs import hostile

GOOD = (
    '{"type":"StasisEnd","timestamp":"2026-11-25T00:00:00.000+0000",'
    '"channel":{"id":"1763900000.7"}}'
)


class Posted:
    """Takes what the listener would post."""

    def __init__(self):
        self.events = []

    def add(self, call, event):
        self.events.append((call, event))


@pytest.fixture
def posted():
    return Posted()


@pytest.fixture
async def listener(posted):
    node = AriNode("pbx1", "http://127.0.0.1:1", "user", "password")
    return Listener(node, "ringmaster", posted, None, None, None)


@pytest.mark.parametrize("frame", hostile("ari_events"), ids=lambda frame: frame[:50])
async def test_no_event_ends_the_listener_and_the_next_is_heard(listener, posted, frame):
    assert listener._handle(frame) is False
    taken = list(posted.events)
    assert listener._handle(GOOD) is False

    assert posted.events[len(taken) :][0][0] == "pbx1:1763900000.7"
    for call, event in taken:
        assert call.startswith("pbx1:")
        assert len(getattr(event, "dialled", "")) <= 256
        assert len(getattr(event, "caller_name", "")) <= 256
        assert 0 <= getattr(event, "hops", 0) <= 99
