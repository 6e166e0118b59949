"""manage.py run_ari_bridge: refuses what cannot work, and ends in good order."""

import asyncio
import os
import signal

import pytest
from django.core.management import CommandError, call_command

from ari_bridge.lease import Lease
from ari_bridge.listener import Listener
from ari_bridge.management.commands import run_ari_bridge
from ari_bridge.node import AriNode
from ari_bridge.poster import Poster
from calls.machine.events import decode
from calls.store.mailbox import connect
from tests.ari_bridge.conftest import MarkStub, PosterStub
from tests.ari_bridge.test_standing_by import ReconcilerStub
from tests.machine.world import A

NODE = AriNode("demo", "http://127.0.0.1:1", "ringmaster", "secret")


def test_without_a_node_it_does_not_start(settings):
    settings.ARI_NODES = {}

    with pytest.raises(CommandError, match=r"ARI_NODES names no Asterisk\. Set it to name=http://"):
        call_command("run_ari_bridge")


def test_a_node_that_the_settings_do_not_name_is_refused(settings):
    settings.ARI_NODES = {"demo": NODE, "backup": NODE}

    with pytest.raises(CommandError) as refused:
        call_command("run_ari_bridge", node="dmeo")
    assert str(refused.value) == "ARI_NODES has no node 'dmeo'; it has demo, backup."


def test_all_nodes_are_listened_to_unless_one_is_named():
    nodes = {"demo": NODE, "backup": AriNode("backup", NODE.url, "u", "p")}

    assert [each.name for each in run_ari_bridge._chosen(nodes, None)] == ["demo", "backup"]
    assert [each.name for each in run_ari_bridge._chosen(nodes, "backup")] == ["backup"]


def count_heard(monkeypatch):
    """A semaphore that is released for each event the listener hands to the poster."""
    heard = asyncio.Semaphore(0)
    add = Poster.add

    def counted(poster, call, event):
        add(poster, call, event)
        heard.release()

    monkeypatch.setattr(Poster, "add", counted)
    return heard


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_everything_posted(
    double, redis_url, clean_redis, settings, monkeypatch, number
):
    settings.REDIS_URL = redis_url
    heard = count_heard(monkeypatch)
    running = asyncio.create_task(run_ari_bridge._listen([double.node]))
    await double.wait_for(lambda: any("eventFilter" in each for each in double.requests))
    for nth in range(50):
        double.enter(f"{nth}.{A}")
    for _ in range(50):
        await asyncio.wait_for(heard.acquire(), 10)
    os.kill(os.getpid(), number)
    await asyncio.wait_for(running, 10)

    for nth in range(50):
        (event,) = clean_redis.lrange(f"ringmaster:mail:double:{nth}.{A}", 0, -1)
        assert decode(event).channel_id == f"{nth}.{A}"


async def test_it_hands_over_to_another_that_stands_by(
    double, redis_url, clean_redis, settings, caplog
):
    settings.REDIS_URL = redis_url
    older = asyncio.create_task(run_ari_bridge._listen([double.node]))
    await double.wait_for(lambda: double.connections == 1)
    newer = Listener(
        double.node,
        settings.ARI_APP,
        PosterStub(),
        ReconcilerStub(),
        Lease(connect(redis_url), "double"),
        MarkStub(),
    )
    standing_by = asyncio.create_task(newer.run())
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(older, 10)

    assert double.connections == 2
    assert "Another listener took over" in caplog.text
    standing_by.cancel()
    await asyncio.gather(standing_by, return_exceptions=True)
