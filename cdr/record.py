"""What is kept of a call when it is over. Pure: no Django, no clock, no I/O.

The call engine builds a :class:`CallRecord`, puts its JSON on the stream (see cdr.stream), and
the writer makes rows of it. All times are integers, milliseconds since the epoch (UTC), taken
from Asterisk's event timestamps; None stands for "never happened".
"""

import re
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, Self

import msgspec
import orjson
from msgspec import Meta, structs

from cdr.errors import CdrError

# 9999-12-31T23:59:59Z, the last second Python's and PostgreSQL's dates share.
_LAST_MS = 253_402_300_799_000
_HIGHEST_MEASURE = 1_000_000_000

_A_WORD = re.compile(r"[a-z][a-z0-9_]{0,29}")


class Word(StrEnum):
    """A word of a list that a newer version may have made longer.

    Calls and records are read by other versions than wrote them, while an upgrade goes from process
    to process. A word that is not known here is therefore kept as it was written; ValueError is for
    what can be no such word.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str) or not _A_WORD.fullmatch(value):
            return None
        word = str.__new__(cls, value)
        word._name_, word._value_ = value.upper(), value
        return word

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself. Python 3.11.2, which is Debian 12's, looks a member up by its name to copy it,
        and so knows no word of a newer version."""
        return self


class Disposition(Word):
    """How a call ended, in one word (the table of causes decides it)."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    UNALLOCATED = "unallocated"
    INVALID_NUMBER = "invalid_number"
    LOOP = "loop"
    TRUNK_AUTH = "trunk_auth"
    MEDIA = "media"
    TIMEOUT = "timeout"
    CONGESTION = "congestion"
    CANCELLED = "cancelled"
    LIMITED = "limited"
    BLOCKED = "blocked"
    NO_ROUTE = "no_route"
    UNAUTHORIZED = "unauthorized"


_EXPLAINED = frozenset(
    {Disposition.ANSWERED, Disposition.BUSY, Disposition.NO_ANSWER, Disposition.CANCELLED}
)


class EndedBy(Word):
    """Who ended the call: a party, this switch, an operator, or a limit."""

    CALLER = "caller"
    CALLEE = "callee"
    SWITCH = "switch"
    ADMIN = "admin"
    LIMIT = "limit"
    UNKNOWN = "unknown"


class Outcome(Word):
    """What became of one trunk's turn: dialled, failed before the dial, or skipped and why."""

    DIALLED = "dialled"
    FAILED = "failed"
    SKIPPED_DISABLED = "skipped_disabled"
    SKIPPED_DOWN = "skipped_down"
    SKIPPED_FULL = "skipped_full"
    SKIPPED_CPS = "skipped_cps"
    SKIPPED_NUMBER = "skipped_number"
    SKIPPED_TECH = "skipped_tech"
    SKIPPED_BLOCKED = "skipped_blocked"
    SKIPPED_DRAINED = "skipped_drained"


class Integrity(Word):
    """Whether the record rests on the call's events or was rebuilt after some were missed."""

    COMPLETE = "complete"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Quality:
    """How the audio that came from a leg was. None: the leg's far end did not tell."""

    mos: float | None
    jitter_ms: float
    loss_percent: float
    rtt_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One trunk's turn in a call; ``number`` counts from 1."""

    number: int
    trunk: str
    outcome: Outcome
    channel_id: str = ""
    callee_sent: str = ""
    started_ms: int | None = None
    progress_ms: int | None = None
    ringing_ms: int | None = None
    answered_ms: int | None = None
    ended_ms: int | None = None
    q850_cause: int | None = None
    sip_code: int | None = None
    reason: str = ""
    sip_call_id: str = ""

    @property
    def pdd_ms(self) -> int | None:
        """Post-dial delay in ms: from the dial to the first 180 or 183, None without either."""
        heard = [time for time in (self.progress_ms, self.ringing_ms) if time is not None]
        if self.started_ms is None or not heard:
            return None
        return max(0, min(heard) - self.started_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call, whole. Numbers stand as received, as normalised (E.164 digits) and as sent."""

    call_id: str
    node: str
    started_ms: int
    ended_ms: int
    disposition: Disposition
    ended_by: EndedBy
    progress_ms: int | None = None
    ringing_ms: int | None = None
    answered_ms: int | None = None
    account: str = ""
    caller_received: str = ""
    caller_name: str = ""
    caller_normalised: str = ""
    caller_sent: str = ""
    callee_received: str = ""
    callee_normalised: str = ""
    callee_sent: str = ""
    prefix: str = ""
    route: str = ""
    trunk: str = ""
    q850_cause: int | None = None
    sip_code: int | None = None
    reason: str = ""
    calls: int = 1
    """How many calls this record stands for."""
    integrity: Integrity = Integrity.COMPLETE
    sip_code_heard: int | None = None
    """The final SIP code that the caller got of us."""
    sip_call_id: str = ""
    """Of the caller's leg; those of the others are in the attempts."""
    caller_mos: float | None = None
    """Of the audio that came from the caller; the same for the callee that answered."""
    caller_jitter_ms: float | None = None
    caller_loss_percent: float | None = None
    caller_rtt_ms: float | None = None
    callee_mos: float | None = None
    callee_jitter_ms: float | None = None
    callee_loss_percent: float | None = None
    callee_rtt_ms: float | None = None
    canary: str = ""
    """Of a route whose change was being tried: which trial, and whether this call tried the new
    trunks or the old, ``7:new``."""
    attempts: tuple[AttemptRecord, ...] = ()

    @property
    def pdd_ms(self) -> int | None:
        """Post-dial delay in ms of the attempt that was heard last, None if none was.

        An attempt heard is one that brought a 180 or 183; after it there is no further hunting,
        so there is at most one unless a trunk failed after its early media.
        """
        heard = [delay for attempt in self.attempts if (delay := attempt.pdd_ms) is not None]
        return heard[-1] if heard else None

    @property
    def ring_ms(self) -> int | None:
        """From the first ringing to the answer or the end, in ms; None if it never rang."""
        if self.ringing_ms is None:
            return None
        until = self.ended_ms if self.answered_ms is None else self.answered_ms
        return max(0, until - self.ringing_ms)

    @property
    def failed(self) -> bool:
        """Whether neither an answer nor a person explains the end: not the callee who was busy or
        did not answer, not the caller who gave up."""
        return self.disposition not in _EXPLAINED

    @property
    def duration_ms(self) -> int:
        """The whole call in ms, from its start to its end."""
        return max(0, self.ended_ms - self.started_ms)

    @property
    def talk_ms(self) -> int:
        """From the answer to the end in ms; 0 for a call never answered."""
        if self.answered_ms is None:
            return 0
        return max(0, self.ended_ms - self.answered_ms)

    @property
    def billsec(self) -> int:
        """Talk time in begun seconds.

        Rounded up because carriers bill every begun second: rounding to nearest or down makes
        our sum fall short of their invoice. ``talk_ms`` keeps the exact figure beside it.
        """
        return -(-self.talk_ms // 1000)

    def to_json(self) -> bytes:
        """Return the record as one JSON object, as the stream carries it."""
        # Not asdict, which copies each value: orjson writes the attempts by itself.
        plain = {name: getattr(self, name) for name in self.__slots__}
        if self.calls == 1:
            # A writer from before there was this field takes no other.
            del plain["calls"]
        if not self.canary:
            # The same.
            del plain["canary"]
        return orjson.dumps(plain)

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read a record back from :meth:`to_json`'s form.

        Raises :class:`~cdr.errors.CdrError` where the text is no JSON object, where a field is
        missing, unknown, of another type or out of range.
        """
        try:
            saved = structs.asdict(_decode(text))
        except (msgspec.MsgspecError, ValueError):
            return cls._explained(text)
        attempts = saved["attempts"]
        if len({attempt.number for attempt in attempts}) != len(attempts):
            return cls._explained(text)
        saved["attempts"] = tuple(AttemptRecord(**structs.asdict(each)) for each in attempts)
        return cls(**saved)

    @classmethod
    def _explained(cls, text: bytes | str) -> Self:
        """As `from_json`, field by field, to say what is wrong."""
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise CdrError(f"The call record is not JSON: {error}.") from error
        if not isinstance(document, dict):
            raise CdrError("The call record is not a JSON object.")
        what = f"The record of call {str(document.get('call_id', '?'))[:200]!r}"
        attempts = document.pop("attempts", [])
        if not isinstance(attempts, list):
            raise CdrError(f"{what} has attempts that are not a list.")
        read = tuple(
            AttemptRecord(**_checked(AttemptRecord, one, f"{what}, attempt {position},"))
            for position, one in enumerate(attempts, start=1)
        )
        if len({attempt.number for attempt in read}) != len(read):
            raise CdrError(f"{what} has two attempts of the same number.")
        return cls(**_checked(cls, document, what), attempts=read)


def _checked(kind: type, document: Any, what: str) -> dict[str, Any]:
    """Return ``document``'s values, each of the type and range its field in ``kind`` asks for."""
    if not isinstance(document, dict):
        raise CdrError(f"{what} is not a JSON object.")
    known = {field.name: field for field in fields(kind) if field.name != "attempts"}
    unknown = sorted(set(document) - set(known))
    if unknown:
        raise CdrError(f"{what} has a field that no record has: {unknown[0][:80]!r}.")
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name in document:
            values[name] = _value(name, field.type, document[name], what)
        elif name in _REQUIRED[kind]:
            raise CdrError(f"{what} lacks the field {name!r}.")
    return values


def _value(name: str, kind: Any, value: Any, what: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        try:
            return kind(value)
        except ValueError:
            words = ", ".join(kind)
            raise CdrError(
                f"{what} has {name} {str(value)[:80]!r}, which is no word such as: {words}."
            ) from None
    if kind is str:
        if isinstance(value, str) and (value or name != "call_id"):
            return value
        raise CdrError(f"{what} has a {name} that is not a text.")
    if value is None and kind is not int:
        return None
    if kind == float | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and 0 <= value <= _HIGHEST_MEASURE:
            return float(value)
        raise CdrError(f"{what} has a {name} that is not a number from 0 to 1,000,000,000.")
    highest = _highest(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= highest:
        return value
    raise CdrError(f"{what} has a {name} that is not a whole number from 0 to {highest}.")


def _highest(name: str) -> int:
    return _LAST_MS if name.endswith("_ms") else 1_000_000 if name == "calls" else 999


def _form(kind: type, **others: Any) -> Any:
    """What `_checked` asks of a document, as a structure that msgspec reads at C's speed."""
    named = [
        (each.name, others.get(each.name) or _bounded(each.name, each.type), *_default(each))
        for each in fields(kind)
    ]
    return msgspec.defstruct(
        f"Saved{kind.__name__}", named, kw_only=True, forbid_unknown_fields=True
    )


def _default(field: Any) -> tuple[Any, ...]:
    return () if field.default is MISSING else (field.default,)


def _bounded(name: str, kind: Any) -> Any:
    """The type of a field with the range of its values."""
    if kind == float | None:
        return Annotated[float, Meta(ge=0, le=_HIGHEST_MEASURE)] | None
    number = Annotated[int, Meta(ge=0, le=_highest(name))]
    bounded = {int: number, int | None: number | None}
    if name == "call_id":
        return Annotated[str, Meta(min_length=1)]
    return bounded.get(kind, kind)


_REQUIRED: dict[type, frozenset[str]] = {
    CallRecord: frozenset({"call_id", "node", "started_ms", "ended_ms", "disposition", "ended_by"}),
    AttemptRecord: frozenset({"number", "trunk", "outcome"}),
}
_decode = msgspec.json.Decoder(
    _form(CallRecord, attempts=tuple[_form(AttemptRecord), ...])  # type: ignore[misc]
).decode
