"""The Redis client of the hot path: redis-py's commands over one pipelined connection.

redis-py takes a connection out of a pool for each command, wraps the wait for its reply in timers
and records metrics, which together cost more than Redis itself does (docs/decisions has the
figures). Here a command is packed by hiredis, written to one transport, and its reply resolves a
future: what many calls ask at the same time shares the connection.

A write costs more than what is written: the kernel carries it over and wakes Redis, which wakes us
with its reply. So a command that nobody waits for may wait a moment to go out with one that is
urgent (`patient`).

`LeanRedis` is a `redis.asyncio.Redis`: commands, scripts, errors and URLs are redis-py's. Only how
a single command travels is replaced; pipelines still go through the pool, and are for what is rare.

Rules
  * **A command may be done twice**: when the connection breaks, or no reply comes in time, it is
    sent again. Every script of the project recognises its own repetition.
  * **A silent server is an outage.** One watchdog looks at the oldest reply that is due; past
    ``socket_timeout`` the connection is given up, with all that wait on it.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis
from redis import exceptions
from redis._parsers.base import BaseParser
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

RETRIES = 3
"""How often a command is sent again before its caller is told; as redis-py's clients here do."""
BACKOFF_S = (0.02, 0.2)
"""The first pause before it is sent again, which doubles, and the longest."""
TOGETHER_S = 0.001
"""How long what is asked in one moment with other things may wait, to go with them in one write."""

_NOTHING_YET: Any = False
"""What hiredis' reader gives while a reply is not complete."""


class LeanRedis(Redis):
    """redis-py's asynchronous client with a cheaper way for single commands.

    Belongs to one event loop. Made by `from_url` with redis-py's own options, of which
    ``socket_timeout``, ``socket_connect_timeout``, user, password, database and TLS count.
    """

    _connection: "_Wire | None" = None
    _connecting: "asyncio.Task[_Wire] | None" = None
    connections_made: int = 0
    """How many connections there have been: while it stays, it is the same server that answers."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and give its reply as redis-py would.

        Raises what redis-py raises: ConnectionError and TimeoutError of redis.exceptions once the
        retries are used up, ResponseError and its kinds for what the server refuses.
        """
        reply = await self._ask(_packed(*args))
        # For redis-py's client-side cache, which knows them by this name.
        options.pop("keys", None)
        callback = self.response_callbacks.get(args[0])
        return reply if callback is None else callback(reply, **options)

    async def together(self, *commands: Sequence[Any]) -> list[Any]:
        """Send several commands in one write, and give their replies as the server sent them.

        Raises the first error among them once all have been answered. Where the connection breaks
        those are sent again that have no reply.
        """
        replies: list[Any] = await self._ask([_packed(*each) for each in commands])
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def register_script(self, script: Any) -> Any:
        """As redis-py's; the script is called without a detour."""
        return _LeanScript(self, script)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the connection, and the pool's."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.give_up(exceptions.ConnectionError("the client was closed"))
        await super().aclose(close_connection_pool)

    async def _ask(self, packed: bytes | list[bytes], patience_s: float = 0.0) -> Any:
        pause_s = BACKOFF_S[0]
        replies: list[Any] = []
        for left in range(RETRIES, -1, -1):
            try:
                wire = self._connection
                if wire is None or wire.broken:
                    wire = await self._connected()
                if isinstance(packed, bytes):
                    return await wire.ask(packed, patience_s)
                await wire.ask_all(packed, replies)
                return replies
            except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                if not left or isinstance(error, exceptions.AuthenticationError):
                    raise
            # Many commands broke together: they must not all come back in the same moment.
            await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, BACKOFF_S[1])
        raise AssertionError("the last try gives a reply or raises")

    async def _connected(self) -> "_Wire":
        """The connection, made by whoever comes first; all others wait for the same one."""
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
        # A caller whose patience ends must not cut the connection short for the others.
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> "_Wire":
        pool: Any = self.connection_pool
        how = pool.make_connection()
        loop = asyncio.get_running_loop()
        where = how._connection_arguments() if hasattr(how, "_connection_arguments") else {}
        wire = _Wire(how.socket_timeout or 0.0)
        try:
            async with asyncio.timeout(how.socket_connect_timeout):
                if "host" in where:
                    await loop.create_connection(lambda: wire, **where)
                else:
                    await loop.create_unix_connection(lambda: wire, how.path)
            await _greet(wire, how)
        except TimeoutError as error:
            raise exceptions.TimeoutError(f"no connection to {_address(how)} in time") from error
        except OSError as error:
            raise exceptions.ConnectionError(
                f"cannot connect to {_address(how)}: {error}"
            ) from error
        self._connection = wire
        self.connections_made += 1
        return wire


def patient(script: AsyncScript, patience_s: float) -> AsyncScript:
    """The script, to be called by who can wait *patience_s* seconds until it is sent: it goes with
    the next command that cannot, which most often comes sooner."""
    if isinstance(script, _LeanScript):
        script.patience_s = patience_s
    return script


class _LeanScript(AsyncScript):
    """A script whose call is packed and sent at once: redis-py's way there costs as much again."""

    patience_s = 0.0

    async def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        lean: Any = self.registered_client
        if client is not None and client is not lean:
            return await super().__call__(keys, args, client)
        keys, args = keys or (), args or ()
        try:
            packed = _packed("EVALSHA", self.sha, len(keys), *keys, *args)
            return await lean._ask(packed, self.patience_s)
        except exceptions.NoScriptError:
            self.sha = await lean.script_load(self.script)
            return await lean._ask(_packed("EVALSHA", self.sha, len(keys), *keys, *args))


class _Wire(asyncio.Protocol):
    """One connection: what is written, and who waits for which reply."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        """Who waits for a reply, in the order of what was sent, and since when."""
        self._unsent: list[tuple[bytes, asyncio.Future[Any]]] = []
        """What is to go with the next command, and who waits for its reply."""
        self._sending: asyncio.Handle | None = None
        """Sends it all the same when its patience ends."""
        self._sends_s = float("inf")
        """When that is, by the loop's clock; uvloop's handles do not always tell."""
        self._reader = hiredis.Reader(
            protocolError=exceptions.InvalidResponse, replyError=BaseParser.parse_error
        )
        self._transport: asyncio.Transport | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._ended_by: Exception | None = None

    @property
    def broken(self) -> bool:
        """Whether it will carry nothing any more."""
        return self._ended_by is not None

    async def ask(self, packed: bytes, patience_s: float = 0.0) -> Any:
        """Send a packed command, within *patience_s* seconds, and wait for its reply; raises it
        when it is an error."""
        waiter = self._put(packed)
        if not patience_s:
            self._send()
        else:
            self._send_by(self._loop.time() + patience_s)
        return await waiter

    async def ask_all(self, packed: Sequence[bytes], replies: list[Any]) -> None:
        """The same for those of the commands that have no reply yet, at once; an error that one of
        them has for a reply stands in its place."""
        waiters = [self._put(each) for each in packed[len(replies) :]]
        self._send()
        try:
            for waiter in waiters:
                try:
                    replies.append(await waiter)
                except exceptions.ResponseError as error:
                    replies.append(error)
        except BaseException:
            for waiter in waiters:
                # An error that nobody asked for would be logged as such.
                if not waiter.cancel() and not waiter.cancelled():
                    waiter.exception()
            raise

    def _put(self, packed: bytes) -> "asyncio.Future[Any]":
        """Let the command be sent with the next; raises where nothing is sent any more."""
        if self._transport is None or self._ended_by is not None:
            raise self._ended_by or exceptions.ConnectionError("there is no connection to Redis")
        waiter = self._loop.create_future()
        self._unsent.append((packed, waiter))
        return waiter

    def _send_by(self, at_s: float) -> None:
        if at_s < self._sends_s:
            if self._sending is not None:
                self._sending.cancel()
            self._sending, self._sends_s = self._loop.call_at(at_s, self._send), at_s

    def _send(self) -> None:
        """Write all that is to be sent, in the order in which it was asked."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending, self._sends_s = None, float("inf")
        unsent, self._unsent = self._unsent, []
        now = self._loop.time()
        self._waiting.extend((waiter, now) for _, waiter in unsent)
        if self._watchdog is None and self._timeout_s:
            self._watchdog = self._loop.call_at(now + self._timeout_s, self._watch)
        assert self._transport is not None  # noqa: S101 - `ask` has looked
        self._transport.write(b"".join(packed for packed, _ in unsent))

    def give_up(self, error: Exception) -> None:
        """Close the connection; whoever waits is told this error."""
        self._ended_by = self._ended_by or error
        for timer in (self._watchdog, self._sending):
            if timer is not None:
                timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        waiters = [waiter for waiter, _ in self._waiting] + [waiter for _, waiter in self._unsent]
        self._waiting.clear()
        self._unsent.clear()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's, always

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING_YET:
                waiter, _ = self._waiting.popleft()
                if waiter.done():
                    continue  # Its caller has given up.
                if isinstance(reply, Exception):
                    waiter.set_exception(reply)
                else:
                    waiter.set_result(reply)
        except (exceptions.InvalidResponse, IndexError):
            self.give_up(exceptions.ConnectionError("Redis answers what is not Redis' protocol"))

    def connection_lost(self, error: Exception | None) -> None:
        why = f"Redis closed the connection{f': {error}' if error else ''}"
        self.give_up(exceptions.ConnectionError(why))

    def _watch(self) -> None:
        self._watchdog = None
        if not self._waiting:
            return
        due = self._waiting[0][1] + self._timeout_s
        if due <= self._loop.time():
            self.give_up(exceptions.TimeoutError(f"no reply within {self._timeout_s:g} s"))
        else:
            self._watchdog = self._loop.call_at(due, self._watch)


async def _greet(wire: _Wire, how: Any) -> None:
    """Sign in and choose the database."""
    if how.password:
        user = (how.username,) if how.username else ()
        await wire.ask(_packed("AUTH", *user, how.password))
    if how.db:
        await wire.ask(_packed("SELECT", how.db))


def _address(how: Any) -> str:
    """Where Redis should be, without user and password."""
    return f"{how.host}:{how.port}" if hasattr(how, "host") else str(how.path)


def _packed(*args: Any) -> bytes:
    """A command as it is sent; ``SCRIPT LOAD``, which redis-py gives as one text, is two words."""
    name = args[0]
    words = (*name.split(), *args[1:]) if " " in name else args
    packed: bytes = hiredis.pack_command(words)
    return packed
