"""What the journal adds to a call, part by part: CPU of a worker and of Redis, and bytes.

    python -m tests.lab.bench.journal_parts [--calls 5000]

`tests.lab.bench.journal` compares whole runs, and what the machine does meanwhile is more than
this. Here the saves of one answered call are made again and again, with their pages and without,
and CPU alone is counted: the worker's by its own clock, Redis' by what Redis says of itself.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import redis
import uvloop
from redis.asyncio import Redis

import calls.store
from calls.machine.journal import Entry, Page, encode_page, read
from calls.machine.session import to_json
from calls.store.lean import LeanRedis
from cdr.packing import pack
from tests.lab import services
from tests.story.journals import answered, begun

CALL, TOKEN = "pbx1:1763900000.1", "t"
SCRIPTS = Path(calls.store.__file__).parent / "lua"
RECORD, HEAD = b"r" * 900, b"h" * 300
"""About as long as those of a call that was answered."""


class Saves:
    """The saves of one call, as a worker makes them and by the client that it has."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._save = client.register_script((SCRIPTS / "save.lua").read_text())
        self._finish = client.register_script((SCRIPTS / "finish.lua").read_text())
        self.pages = read(answered().journal)
        session = begun().session
        assert session is not None
        self.session = to_json(session)

    async def one_call(self, *, journal: bool) -> None:
        """All its saves but the last one after the other, and its end with the last."""
        call, mail, attend, pages, cdrs, traces, begun = (
            f"ringmaster:{kind}:{CALL}"
            for kind in ("call", "mail", "attend", "journal", "cdrs", "traces", "begun")
        )
        await self._client.delete(call)
        await self._client.hset(call, "token", TOKEN)
        *saved, last = self.pages
        for number, page in enumerate(saved):
            text = written(page) if journal else b""
            args: list[str | int | bytes] = [CALL, TOKEN, self.session, 0, 4000, ""]
            args += [f"{number}", text, 500, 1000]
            await self._save(keys=[call, mail, attend, pages, begun], args=args)
        head, text = (HEAD, written(last)) if journal else (b"", b"")
        end: list[str | int | bytes] = [CALL, TOKEN, 600_000, "record", RECORD, head, text, 1000]
        end.append(1000)
        await self._finish(keys=[call, mail, attend, cdrs, pages, traces, begun], args=end)


def written(page: Page) -> bytes:
    noted = [(each.event, each.asked_ms) for each in page.entries if isinstance(each, Entry)]
    return encode_page(page.turn, page.began_ms, noted)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=5_000)
    count = parser.parse_args().calls
    uvloop.run(measure(count))


async def measure(count: int) -> None:
    """Measure so many calls and print."""
    with services.redis_url() as url, redis.Redis.from_url(url) as client:
        lean = LeanRedis.from_url(url, protocol=2)
        saves = Saves(lean)
        text = b"\n".join(map(written, saves.pages))
        events = sum(len(page.entries) for page in saves.pages)
        print(f"an answered call: {events} events in {len(saves.pages)} pages, {len(text):,} bytes")
        spent = {True: [0.0, 0.0], False: [0.0, 0.0]}
        for _ in range(10):
            for journal in (True, False):
                own, server = time.process_time(), _cpu_of(client)
                for _ in range(count // 10):
                    await saves.one_call(journal=journal)
                spent[journal][0] += time.process_time() - own
                spent[journal][1] += _cpu_of(client) - server
        for name, part in (("worker", 0), ("Redis", 1)):
            more = (spent[True][part] - spent[False][part]) / count * 1e6
            print(f"{name}: {more:.0f} µs a call more with the journal")
        await lean.aclose()
        print(f"records worker: {_each(lambda: pack(text)):.0f} µs to pack a trace")
        print(f"on disk: {len(pack(text)):,} bytes a trace")
        for page in saves.pages[:-1]:
            client.rpush("journal", written(page))
        client.hset("call", mapping={"session": saves.session, "token": TOKEN, "saved": "1"})
        for key, what in (("journal", "journal"), ("call", "session beside it")):
            print(f"in Redis while it is up: {client.memory_usage(key):,} bytes, the {what}")


def _each(work: Callable[[], object], times: int = 5_000) -> float:
    """CPU of one, in µs."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times * 1e6


def _cpu_of(client: "redis.Redis") -> float:
    """CPU seconds that Redis has taken so far."""
    told = client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


if __name__ == "__main__":
    main()
