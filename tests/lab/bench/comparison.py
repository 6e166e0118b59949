"""How long a comparison takes with many calls up, and for how long it keeps the event loop.

    python -m tests.lab.bench.comparison [--calls 10000]

Sessions lie in a private Redis; a process of its own lists two channels and a bridge for each, in
Asterisk's own form. No call is doubted, so that what is measured is the comparison alone.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import time
from typing import Any

import django
import orjson
import redis
import uvloop
from aiohttp import web
from msgspec.structs import replace
from rich.console import Console

from tests.lab.ports import LOOPBACK, free_port
from tests.lab.services import Redis

console = Console()


def listings(calls: int) -> dict[str, bytes]:
    """What the node answers: path → body."""
    digest = '[1,1763900000000,"33123","4930100","Alice",["acme"],"acme","33123"]' + " " * 200
    channels: list[dict[str, Any]] = []
    for number in range(calls):
        a_channel = f"1763900000.{number}"
        for name, sip in ((a_channel, "alice"), (f"{a_channel}.b1", "carrier-a")):
            channels.append(
                {
                    "id": name,
                    "name": f"PJSIP/{sip}-{number:08x}",
                    "state": "Up",
                    "protocol_id": f"{number}-4711@127.0.0.1",
                    "caller": {"name": "Alice", "number": "4930100"},
                    "connected": {"name": "", "number": ""},
                    "accountcode": "acme",
                    "dialplan": {
                        "context": "from-callers",
                        "exten": "33123",
                        "priority": 3,
                        "app_name": "Stasis",
                        "app_data": "ringmaster",
                    },
                    "creationtime": "2026-11-25T00:00:00.000+0000",
                    "language": "en",
                }
            )
    bridges = [
        {"id": f"1763900000.{number}.br", "name": digest, "bridge_type": "mixing"}
        for number in range(calls)
    ]
    return {"/ari/channels": orjson.dumps(channels), "/ari/bridges": orjson.dumps(bridges)}


def serve(port: int, calls: int) -> None:
    """Be the node."""
    bodies = listings(calls)

    async def answer(request: web.Request) -> web.Response:
        body = bodies.get(request.path, b"{}")
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    web.run_app(app, host=LOOPBACK, port=port, print=None, handle_signals=True)


def fill(url: str, calls: int) -> None:
    """Let so many calls talk."""
    from calls.machine.session import to_json
    from calls.store.mailbox import ATTEND
    from tests.machine.world import talking

    session = talking().session
    assert session is not None
    (leg,) = session.legs
    client = redis.Redis.from_url(url)
    pipe = client.pipeline(transaction=False)
    for number in range(calls):
        call = f"demo:1763900000.{number}"
        each = replace(
            session,
            call_id=call,
            legs=(replace(leg, channel_id=f"1763900000.{number}.b1"),),
        )
        pipe.hset(f"ringmaster:call:{call}", "session", to_json(each))
        pipe.zadd(ATTEND, {call: 2**52})
    pipe.execute()
    client.close()


class Stalls:
    """Measures for how long the loop was kept from everybody else: by the clock, which on a busy
    machine counts other programs too, and by the CPU time of our thread."""

    def __init__(self) -> None:
        self.longest_s = self.longest_cpu_s = 0.0

    async def watch(self) -> None:
        before, cpu_before = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(0)
            now, cpu_now = time.perf_counter(), time.thread_time()
            self.longest_s = max(self.longest_s, now - before)
            self.longest_cpu_s = max(self.longest_cpu_s, cpu_now - cpu_before)
            before, cpu_before = now, cpu_now


async def compare(port: int, url: str) -> tuple[float, float, Stalls]:
    """Seconds and CPU seconds of a comparison, and the stalls of the loop in it."""
    from ari_bridge.client import client_of
    from ari_bridge.heard import Heard
    from ari_bridge.node import AriNode
    from ari_bridge.poster import Poster
    from ari_bridge.reconcile import Reconciler
    from calls.store.mailbox import Mailboxes, connect

    class Nobody:
        def nudge(self, calls: object) -> None:
            raise AssertionError(f"nothing is wrong with {calls}")

    client = connect(url)
    mailboxes = Mailboxes(client)
    reconciler = Reconciler("ringmaster", mailboxes, Poster(mailboxes, Nobody()))  # type: ignore[arg-type]
    stalls = Stalls()
    async with client_of(AriNode("demo", f"http://{LOOPBACK}:{port}", "u", "p")) as ari:
        await reconciler.run("demo", ari, Heard())
        watching = asyncio.create_task(stalls.watch())
        began, cpu = time.perf_counter(), time.process_time()
        await reconciler.run("demo", ari, Heard())
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        watching.cancel()
    await client.aclose()
    return took, cpu, stalls


def main() -> None:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench.comparison")
    parser.add_argument("--calls", type=int, default=10_000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    os.environ.setdefault("SECRET_KEY", os.urandom(32).hex() * 2)
    django.setup()
    server, port = Redis().start(), free_port()
    node = multiprocessing.get_context("spawn").Process(
        target=serve, args=(port, options.calls), daemon=True
    )
    node.start()
    try:
        fill(server.url, options.calls)
        time.sleep(3)
        # As run_ari_bridge does.
        gc.collect()
        gc.freeze()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            took_s, cpu_s, stalls = runner.run(compare(port, server.url))
    finally:
        node.terminate()
        server.stop()
    console.print(
        f"{options.calls} calls up: a comparison took {took_s:.2f} s, {cpu_s:.2f} s of CPU beside "
        f"a loop that was watched; it stalled for {stalls.longest_s * 1000:.1f} ms at most, of "
        f"which {stalls.longest_cpu_s * 1000:.1f} ms were ours."
    )


if __name__ == "__main__":
    main()
