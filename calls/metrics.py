"""What the processes count of calls (prometheus-client; docs/metrics.md is made of it).

One small function, or one counter's `inc`, for each place that counts, and microseconds each: what
is costly is done when the numbers are handed over (calls/store/handover.py), and when Prometheus
asks.

A turn that is cut off is decided again by another worker, and counted again: these numbers are for
curves and alarms. The ledger counts exactly.

Labels are bounded: nodes, commands and dispositions by what there is, accounts and trunks by
`Known`, which never lets more than `MOST_NAMES` of them in.
"""

from collections.abc import Iterable
from functools import cache

from prometheus_client import Counter, Histogram

from cdr.metrics import counter, gauge, histogram
from cdr.record import AttemptRecord, CallRecord, Disposition, Integrity, Outcome

MOST_NAMES = 50
"""Accounts, and trunks, with series of their own in one process. The others are `OTHER`."""
OTHER, NONE = "other", "none"

PDD_S = (0.25, 0.5, 1, 2, 3, 5, 6, 8, 11, 15, 20, 30)
"""With the mean and 95 % targets of ITU-T E.721 for the post-selection delay at normal load among
them: 3 and 6 s for a local call, 5 and 8 s for a toll call, 8 and 11 s for an international one."""
ANSWER_S = (1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 120)
"""A ring cycle is 5 or 6 s, a ring timeout mostly 20 to 60 s."""
TALK_S = (1, 6, 12, 30, 60, 120, 300, 600, 1800, 3600, 7200)
"""Carriers bill by 1, 6, 30 or 60 s."""
QUICK_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
"""Of what should take milliseconds and may take `COMMAND_S` (calls/engine/turn.py)."""


CALLS_BEGUN = counter("calls_begun", "Calls that a worker took in.", "node")
CALLS_ANSWERED = counter("calls_answered", "Calls that were answered, when they were.")
CALLS_ENDED = counter(
    "calls_ended", "Calls that are over, by their disposition.", "disposition", "account"
)
CALLS_RECOVERED = counter(
    "calls_recovered",
    "Calls whose record rests on what was found in Asterisk, not heard (integrity recovered).",
)
CALLS_GIVEN_UP = counter(
    "calls_given_up", "Calls that were ended because every turn with them failed: a fault of ours."
)
ANSWER_TIME = histogram(
    "call_answer_time_seconds", "From the beginning of a call to its answer.", ANSWER_S
)
TALK_TIME = histogram("call_talk_time_seconds", "From a call's answer to its end.", TALK_S)
PDD = histogram(
    "call_pdd_seconds",
    "Post-dial delay of an attempt: from the dial to the first 180 or 183.",
    PDD_S,
    "trunk",
)
ATTEMPTS = counter(
    "attempts",
    "Turns of trunks in calls that are over: answered, unanswered, failed before the dial, or "
    "skipped and why.",
    "trunk",
    "result",
)
ATTEMPT_RESPONSES = counter(
    "attempt_sip_responses",
    "Final SIP codes of attempts that were dialled; none: the trunk gave none.",
    "trunk",
    "code",
)
HUNTS = counter(
    "hunts",
    "Attempts after which another trunk was tried, by the Q.850 cause of the attempt.",
    "cause",
)
TURNS = histogram("turn_seconds", "Turns of workers with calls, from lock to release.", QUICK_S)
TURNS_FOR_NOTHING = counter(
    "turns_for_nothing", "Nudges after which nothing was to be done, or another worker had it."
)
TURNS_FAILED = counter("turns_failed", "Turns that ended in a fault of ours; tried again.")
LOCK_TAKEOVERS = counter(
    "lock_takeovers", "Calls taken over from a worker that died or was too slow."
)
LOCKS_LOST = counter("locks_lost", "Turns whose lock another worker took in the middle.")
DOUBTS = counter("doubts", "Times that Asterisk was asked what became of a call gone silent.")
REST_REQUESTS = counter(
    "rest_requests",
    "Requests to Asterisk for commands, by HTTP status; unreachable: no answer, cancelled: its "
    "time was up.",
    "command",
    "status",
)
REST_TIME = histogram(
    "rest_request_seconds",
    "From a command's request, with its repetitions, to the answer.",
    QUICK_S,
    "command",
)
NODE_SILENT = gauge(
    "node_breaker_open",
    "1 while a worker holds a node for hung and gives its calls a few places only.",
    "node",
)
NODE_TRIPS = counter(
    "node_breaker_trips", "Times that a worker began to hold a node for hung.", "node"
)
CLOCK_OFFSET = gauge(
    "node_clock_offset_seconds", "How far a node's clock is ahead of this machine's.", "node"
)
TRUNK_CHANGES = counter(
    "trunk_state_changes", "Changes of a trunk's state as its attempts tell it.", "trunk", "state"
)
NUDGES_FAILED = counter(
    "nudge_failures", "Times that the broker did not take nudges; the sweeper finds the calls."
)


class Known:
    """The names that have series of their own: as many as there is room for, for good.

    A name that was let in stays, or its counter would end and begin again.
    """

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._names: dict[str, None] = {}

    def expect(self, names: Iterable[str]) -> None:
        """Let these in, as long as there is room."""
        for name in names:
            self(name)

    def __call__(self, name: str) -> str:
        if name in self._names:
            return name
        if not name:
            return NONE
        if len(self._names) >= self._most:
            return OTHER
        self._names[name] = None
        return name


accounts, trunks = Known(), Known()


@cache
def _ended(disposition: str, account: str) -> Counter:
    return CALLS_ENDED.labels(disposition, account)


@cache
def _attempt(trunk: str, result: str) -> Counter:
    return ATTEMPTS.labels(trunk, result)


@cache
def _response(trunk: str, code: str) -> Counter:
    return ATTEMPT_RESPONSES.labels(trunk, code)


@cache
def _pdd(trunk: str) -> Histogram:
    return PDD.labels(trunk)


@cache
def _request(command: str, status: str) -> Counter:
    return REST_REQUESTS.labels(command, status)


@cache
def _request_time(command: str) -> Histogram:
    return REST_TIME.labels(command)


def begin(nodes: Iterable[str]) -> None:
    """Let what can be known beforehand begin at 0: a curve begins with what comes after that."""
    for node in nodes:
        CALLS_BEGUN.labels(node)
        NODE_SILENT.labels(node)
        NODE_TRIPS.labels(node)
    for disposition in Disposition:
        _ended(disposition, NONE)


def expect(busiest_accounts: Iterable[str], busiest_trunks: Iterable[str]) -> None:
    """Let the busiest have series of their own, and begin at 0."""
    accounts.expect(busiest_accounts)
    trunks.expect(busiest_trunks)
    for account in accounts._names:
        _ended(Disposition.ANSWERED, account)
    for trunk in trunks._names:
        _pdd(trunk)
        for result in ("answered", "unanswered", Outcome.FAILED):
            _attempt(trunk, result)
        for state in ("up", "degraded", "down"):
            TRUNK_CHANGES.labels(trunk, state)


def answered(after_ms: int) -> None:
    """A call is answered, so many ms after it began."""
    CALLS_ANSWERED.inc()
    ANSWER_TIME.observe(max(0, after_ms) / 1000)


def over(record: CallRecord) -> None:
    """A call is over."""
    _ended(record.disposition, accounts(record.account)).inc()
    if record.answered_ms is not None:
        TALK_TIME.observe(record.talk_ms / 1000)
    if record.integrity is Integrity.RECOVERED:
        CALLS_RECOVERED.inc()
    before = None
    for attempt in record.attempts:
        _count(attempt)
        if attempt.channel_id:
            if before is not None:
                HUNTS.labels(str(before.q850_cause or NONE)).inc()
            before = attempt


def _count(attempt: AttemptRecord) -> None:
    trunk = trunks(attempt.trunk)
    if attempt.outcome is not Outcome.DIALLED:
        _attempt(trunk, attempt.outcome).inc()
        return
    is_answered = attempt.answered_ms is not None
    _attempt(trunk, "answered" if is_answered else "unanswered").inc()
    code = attempt.sip_code
    known = NONE if code is None else str(code) if 100 <= code <= 699 else OTHER
    _response(trunk, known).inc()
    if attempt.pdd_ms is not None:
        _pdd(trunk).observe(attempt.pdd_ms / 1000)


def requested(command: str, status: str, seconds: float) -> None:
    """Asterisk was asked for a command; ``status`` is its HTTP status, or what came instead."""
    _request(command, status).inc()
    _request_time(command).observe(seconds)


def node_answers(node: str, answers: bool) -> None:
    """A worker holds a node for hung, or not any more."""
    NODE_SILENT.labels(node).set(not answers)
    if not answers:
        NODE_TRIPS.labels(node).inc()


def trunk_changed(trunk: str, state: str) -> None:
    """The attempts on a trunk tell another state of it: up, degraded or down."""
    TRUNK_CHANGES.labels(trunks(trunk), state).inc()
