"""SIP callers and carriers, played by SIPp on loopback.

    with Carrier(asterisk.carrier_ports["carrier-a"]) as carrier:
        calls = Caller(asterisk.sip_port).call("49301486")
    assert calls.finals == [486]
    assert carrier.seen("49301486") == ["INVITE", "REFUSED 486"]

What a carrier does with a number is told by its last digits: see sipp/carrier.xml.
"""

import csv
import math
import re
import shutil
import signal
import socket
import subprocess
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.lab.errors import LabError
from tests.lab.packages import need_program
from tests.lab.ports import LOOPBACK, free_port, udp_port_taken
from tests.lab.processes import Child, temporary_folder
from tests.lab.waiting import wait_for

SCENARIOS = Path(__file__).with_name("sipp")
FOREVER_MS = 3_600_000
RING_MS = 200
FINAL_CODES = (
    *(300, 301, 302, 305, 380, *range(400, 409), *range(410, 417), 420, 423),
    *(*range(480, 495), *range(500, 506), 513, *range(600, 609)),
)
"""The final SIP codes other than 200 that callers understand and carriers can give."""

ALL_DONE_CODES = (0, 1, 99)
"""SIPp's exit codes that are no fault of ours to start it: all well, some failed, stopped early."""


def escaped(number: str) -> str:
    """A dialled string as the user part of a SIP URI (RFC 3261, 25.1): ``a@b`` is ``a%40b``."""
    return urllib.parse.quote(number, safe="+*")


@dataclass(frozen=True)
class SeenCall:
    """What the caller's side saw of one call."""

    number: str
    """The dialled number, as it was given to ``call``."""
    provisional: tuple[int, ...]
    """180 and 183, in the order they came."""
    final: int | None
    """The final SIP code of the INVITE (200 for an answer); None when there was none."""
    ended_by: str | None
    """Who sent the BYE of an answered call: caller or callee (any other side); else None."""
    cancelled: bool
    """Whether the caller sent CANCEL."""
    answer_ms: float | None
    """Milliseconds from the INVITE to the 200 by the caller's clock; None when not answered."""
    answered_at: float | None = None
    """When the 200 came, in seconds since the epoch."""
    sip_call_id: str = ""
    """The Call-ID that the caller gave it."""


@dataclass(frozen=True)
class Calls:
    """What the caller's side saw of all calls of one run, in the order they were placed."""

    seen: tuple[SeenCall, ...]
    failed: int
    """Calls that SIPp could not carry through: no reply, or one that fits no dialogue."""
    errors: str
    """The beginning of SIPp's own error log; empty when all is well."""

    @property
    def finals(self) -> list[int | None]:
        """The final code of each call."""
        return [call.final for call in self.seen]

    @property
    def answered(self) -> int:
        """How many calls were answered."""
        return self.finals.count(200)

    def answer_percentile_ms(self, percent: float) -> float:
        """The nearest-rank percentile of ``answer_ms``; raises LabError when none was answered."""
        times = sorted(call.answer_ms for call in self.seen if call.answer_ms is not None)
        if not times:
            raise LabError("No call was answered, so there is no answer time.")
        return times[max(math.ceil(percent / 100 * len(times)), 1) - 1]


class RunningCalls:
    """Calls under way, placed by Caller.start."""

    def __init__(self, child: Child, folder: Path, numbers: Sequence[str]) -> None:
        self._child = child
        self._folder = folder
        self._numbers = numbers
        self._over: Calls | None = None

    @property
    def running(self) -> bool:
        """Whether calls are still to be placed or up."""
        return self._child.running

    def seen(self) -> tuple[SeenCall, ...]:
        """What has been seen so far of every call that has been placed, in order."""
        if self._over is not None:
            return self._over.seen
        events: dict[int, list[str]] = defaultdict(list)
        for line in _log_lines(self._folder / "seen.log"):
            call, _, what = line.split(" ", 2)
            events[int(call)].append(what)
        # SIPp counts calls from 1 and takes the numbers in turn.
        return tuple(
            _seen_call(
                self._numbers[(call - 1) % len(self._numbers)],
                events[call],
                f"{call}-{self._child.pid}@{LOOPBACK}",
            )
            for call in sorted(events)
        )

    def wait_until_answered(self, count: int, timeout_s: float = 20.0) -> None:
        """Wait until ``count`` calls of the run have been answered; raises LabError."""
        wait_for(
            lambda: sum(call.final == 200 for call in self.seen()) >= count,
            timeout_s=timeout_s,
            failure=lambda: f"Not {count} calls answered after {timeout_s:g} s: {self.seen()}",
        )

    def wait(self, timeout_s: float = 120.0) -> Calls:
        """Wait for the end of all calls; raises LabError when it takes longer or SIPp fails."""
        try:
            code = self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            raise LabError(
                f"The calls were not over after {timeout_s:g} s. Seen: {self.seen()}"
            ) from None
        if code not in ALL_DONE_CODES:
            shown = self._errors() or self._child.log_tail()
            raise LabError(f"SIPp failed (exit code {code}): {shown}")
        return self._result()

    def stop(self) -> Calls:
        """Place no more calls, hang up those that are up, and give what was seen."""
        self._child.stop(signal.SIGUSR1, grace_s=10)
        return self._result()

    def abandon(self) -> None:
        """Stop at once without hanging up, as a caller's phone that loses power."""
        self._child.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _result(self) -> Calls:
        if self._over is None:
            seen = self.seen()
            with (self._folder / "stat.csv").open(newline="") as file:
                last = list(csv.DictReader(file, delimiter=";"))[-1]
            self._over = Calls(seen, int(last["FailedCall(C)"]), self._errors())
            shutil.rmtree(self._folder, ignore_errors=True)
        return self._over

    def _errors(self) -> str:
        """SIPp's error log without the timeouts the scenarios are steered by."""
        path = self._folder / "errors.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        wrong = [
            line
            for line in text.splitlines()
            if "jumping to label" not in line and line != "The following events occurred:"
        ]
        return "\n".join(wrong)[:2000]


class Caller:
    """Places calls to one Asterisk, as one of the users its pjsip configuration knows."""

    def __init__(self, sip_port: int, *, user: str = "alice") -> None:
        self._program = _sipp()
        self._target = f"{LOOPBACK}:{sip_port}"
        self._user = user

    def call(
        self,
        number: str | Sequence[str],
        *,
        as_user: str | None = None,
        talk_ms: int | None = 100,
        cancel_after_ms: int | None = None,
        count: int | None = None,
        rate: float = 10,
        parallel: int = 1000,
        timeout_s: float = 120.0,
    ) -> Calls:
        """Place calls and wait for their end.

        ``number``: one dialled string or several, taken in turn; any characters. ``talk_ms``: time
        from the answer to the caller's BYE; None talks until the other side hangs up.
        ``cancel_after_ms``: time from the last provisional reply (100, 18x) to a CANCEL of an
        unanswered call; 0 cancels as soon as SIP allows it. ``count``: how many calls (default: one
        for each number), ``rate``: calls a second, ``parallel``: most at once. Raises LabError when
        it takes longer than ``timeout_s``.
        """
        return self.start(
            number,
            as_user=as_user,
            talk_ms=talk_ms,
            cancel_after_ms=cancel_after_ms,
            count=count,
            rate=rate,
            parallel=parallel,
        ).wait(timeout_s)

    def start(
        self,
        number: str | Sequence[str],
        *,
        as_user: str | None = None,
        talk_ms: int | None = 100,
        cancel_after_ms: int | None = None,
        count: int | None = None,
        rate: float = 10,
        parallel: int = 1000,
    ) -> RunningCalls:
        """As ``call``, without waiting."""
        numbers = [number] if isinstance(number, str) else list(number)
        folder = temporary_folder("calls")
        user = as_user or self._user
        (folder / "numbers.csv").write_text(
            "SEQUENTIAL\n" + "".join(f"{escaped(n)};{escaped(user)}\n" for n in numbers)
        )
        scenario = _scenario(
            "caller",
            folder,
            CANCEL_MS=FOREVER_MS if cancel_after_ms is None else max(cancel_after_ms, 1),
            TALK_MS=FOREVER_MS if talk_ms is None else max(talk_ms, 1),
        )
        command = [
            *(self._program, self._target, "-sf", str(scenario)),
            *("-inf", str(folder / "numbers.csv")),
            *("-m", str(count or len(numbers)), "-l", str(parallel)),
            *_rate(rate),
            *_common(free_port(socket.SOCK_DGRAM), folder),
        ]
        child = Child("SIPp (caller)", command, folder / "screen.log", cwd=folder)
        return RunningCalls(child, folder, numbers)


class Carrier:
    """A carrier on one SIP port: what it does is told by the dialled number (carrier.xml).

    ``ring_ms`` is the time from 180 or 183 to the answer. With ``keeps_messages`` every SIP message
    is kept, for ``wait_for_invites``.
    """

    def __init__(self, port: int, *, ring_ms: int = RING_MS, keeps_messages: bool = False) -> None:
        self.port = port
        self._keeps_messages = keeps_messages
        self._program = _sipp()
        self._folder = temporary_folder("carrier")
        self._scenario = _scenario("carrier", self._folder, RING_MS=ring_ms)
        self._child: Child | None = None

    def start(self) -> "Carrier":
        """Start it and wait until its port is taken; raises LabError."""
        child = Child(
            "SIPp (carrier)",
            [
                *(self._program, "-sf", str(self._scenario)),
                *_common(self.port, self._folder),
                *self._messages_kept(),
            ],
            self._folder / "screen.log",
            cwd=self._folder,
        )
        self._child = child
        wait_for(
            lambda: not child.running or udp_port_taken(self.port),
            timeout_s=10,
            failure=lambda: f"The carrier does not listen on {self.port}:\n{child.log_tail()}",
        )
        if not child.running:
            raise LabError(
                f"The carrier ended at its start (exit code {child.wait()}):\n"
                f"{child.log_tail()}\n{self._errors()}"
            )
        return self

    def _errors(self) -> str:
        path = self._folder / "errors.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        """Stop it at once; calls that are up are left without a word, as by a carrier's crash."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def __enter__(self) -> "Carrier":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def seen(self, number: str) -> list[str]:
        """What happened to all calls to this number, in order (see the head of carrier.xml)."""
        return [
            what
            for seen, _, what in (
                line.partition(" ") for line in _log_lines(self._folder / "seen.log")
            )
            if urllib.parse.unquote(seen) == number
        ]

    def wait_for_invites(self, count: int = 1, timeout_s: float = 10.0) -> list[str]:
        """The INVITEs that came, whole, in order, once there are so many; raises LabError.

        For a carrier that keeps messages. One that was sent again counts once.
        """
        wait_for(
            lambda: len(self._invites()) >= count,
            timeout_s=timeout_s,
            failure=lambda: f"The carrier has seen {self._invites()}, not {count} INVITEs.",
        )
        return self._invites()

    def _invites(self) -> list[str]:
        path = self._folder / "messages.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        found = re.findall(r"message received[^\n]*\n\n(INVITE .*?)\n\n", text, flags=re.S)
        return list(dict.fromkeys(invite.replace("\r", "") for invite in found))

    def _messages_kept(self) -> tuple[str, ...]:
        if not self._keeps_messages:
            return ()
        return ("-trace_msg", "-message_file", str(self._folder / "messages.log"))

    def all_seen(self) -> list[str]:
        """What happened to all calls to any number, in order."""
        return [line.partition(" ")[2] for line in _log_lines(self._folder / "seen.log")]

    def wait_for(self, number: str, what: str, *, count: int = 1, timeout_s: float = 10.0) -> None:
        """Wait until this has happened ``count`` times to calls to this number; raises LabError."""
        wait_for(
            lambda: self.seen(number).count(what) >= count,
            timeout_s=timeout_s,
            failure=lambda: f"The carrier saw {self.seen(number)} of {number} and no {what}.",
        )


def _sipp() -> str:
    return need_program("sipp", "sip-tester", purpose="SIPp")


def _scenario(name: str, folder: Path, **values: int) -> Path:
    text = (SCENARIOS / f"{name}.xml").read_text()
    text = re.sub(
        r"<!-- EACH-CODE -->\n(.*?)<!-- END -->\n",
        lambda block: "".join(block[1].replace("@CODE@", str(code)) for code in FINAL_CODES),
        text,
        flags=re.S,
    )
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    path = folder / f"{name}.xml"
    path.write_text(text)
    return path


def _common(port: int, folder: Path) -> list[str]:
    """SIPp advertises and uses loopback, and answers what it is asked in a dialogue (-aa).

    It looks for media and control ports by itself, from 6000 and 8888 on, and takes each in the
    moment it finds it free; a port chosen for it (-mp) may be somebody else's by then.
    """
    return [
        *("-i", LOOPBACK, "-p", str(port), "-mi", LOOPBACK, "-ci", LOOPBACK),
        *("-nostdin", "-aa", "-timer_resol", "1", "-f", "60"),
        *("-trace_stat", "-stf", str(folder / "stat.csv"), "-fd", "60"),
        *("-trace_logs", "-log_file", str(folder / "seen.log")),
        *("-trace_err", "-error_file", str(folder / "errors.log")),
    ]


def _rate(rate: float) -> Iterable[str]:
    """SIPp takes whole calls a period, so a slow rate is one call in a longer period."""
    if rate >= 1:
        return ("-r", str(round(rate)))
    return ("-r", "1", "-rp", str(round(1000 / rate)))


def _log_lines(path: Path) -> list[str]:
    """Complete lines: SIPp may be in the middle of the last one."""
    if not path.exists():
        return []
    text = path.read_text(errors="replace")
    return [line for line in text[: text.rfind("\n") + 1].splitlines() if line.strip()]


def _seen_call(number: str, events: Sequence[str], sip_call_id: str) -> SeenCall:
    words = [event.split() for event in events]
    at = {word[0]: float(word[1]) * 1000 + float(word[2]) / 1000 for word in words if word[2:]}
    answered = at.get("ANSWERED")
    finals = [int(word[1]) for word in words if word[0] == "FINAL"]
    byes = {"BYE-SENT": "caller", "BYE-RECEIVED": "callee"}
    return SeenCall(
        number=number,
        provisional=tuple(int(event) for event in events if event in {"180", "183"}),
        final=200 if answered is not None else next(iter(finals), None),
        ended_by=next((byes[event] for event in events if event in byes), None),
        cancelled="CANCELLED" in events,
        answer_ms=None if answered is None else answered - at["INVITE"],
        answered_at=None if answered is None else answered / 1000,
        sip_call_id=sip_call_id,
    )
