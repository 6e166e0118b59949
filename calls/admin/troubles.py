"""What is wrong now, in sentences; the worst first. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from calls.engine.draining import Draining, Kind
from calls.limits.health import TrunkState
from calls.limits.rules import Health
from calls.store.pulse import Pulse

OVERDUE_MS = 3_000
"""A call that waits so long for a worker has been missed by several sweeps."""
LAG_MS = 10_000
LEDGER = "/admin/calls/ledger/"
DRAINS = "/admin/calls/drain/"
NEEDED = {
    "bridge": "No ARI bridge runs: new calls are not heard. Start `manage.py run_ari_bridge`.",
    "calls": "No calls worker runs: no call is attended to. Start the `calls` process.",
    "records": "No records worker runs: call records wait in Redis. Start the `records` process.",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong; ``link`` is where more is said of it, or ''."""

    sentence: str
    severe: bool = True
    link: str = ""


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A limit of which much is used."""

    name: str
    used: str
    percent: float
    enforced: bool
    link: str = ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook; ``disabled_because`` is '' where nobody but a person disabled it."""

    name: str
    enabled: bool
    disabled_because: str
    failing_since: str
    link: str = ""


def troubles(
    pulse: Pulse,
    trunks: Iterable[tuple[str, Health, TrunkState | None]],
    limits: Sequence[LimitUse],
    drained: Iterable[Draining] = (),
    webhooks: Sequence[Webhook] = (),
    others: Iterable[Trouble] = (),
) -> list[Trouble]:
    """What is wrong. ``trunks``: name, what was set by hand, what its attempts say."""
    found = [
        *_of_processes(pulse),
        *_of_work(pulse),
        *_of_ledger(pulse),
        *_of_drains(drained),
        *_of_trunks(trunks),
        *_of_limits(limits),
        *_of_webhooks(pulse, webhooks),
        *others,
    ]
    return sorted(found, key=lambda trouble: not trouble.severe)


def _of_processes(pulse: Pulse) -> Iterable[Trouble]:
    kinds = {process.kind for process in pulse.processes}
    for kind, sentence in NEEDED.items():
        if kind not in kinds:
            yield Trouble(sentence)
    bridges = [process for process in pulse.processes if process.kind == "bridge"]
    told = [part for process in bridges for part in process.note.split(", ") if part]
    for node in sorted({part.partition(" ")[0] for part in told}):
        if f"{node} listens" not in told:
            yield Trouble(f"Nobody is connected to node {node}: its calls are not heard.")


def _of_work(pulse: Pulse) -> Iterable[Trouble]:
    if pulse.overdue_ms > OVERDUE_MS:
        yield Trouble(
            f"A call has waited {pulse.overdue_ms / 1000:.0f} s for a worker. Are there enough "
            "`calls` processes, and do they reach Redis and Asterisk?"
        )
    if pulse.lag_ms > LAG_MS:
        yield Trouble(
            f"{pulse.records:,} call records wait for the database, the oldest for "
            f"{pulse.lag_ms / 1000:.0f} s. None is lost; does the database answer?"
        )
    if pulse.rejected:
        yield Trouble(
            f"{pulse.rejected:,} call record{'s' if pulse.rejected != 1 else ''} could not be "
            "written and wait for somebody to look at them.",
            link=LEDGER,
        )


def _of_ledger(pulse: Pulse) -> Iterable[Trouble]:
    if pulse.light is not None and not pulse.light.green:
        yield Trouble(pulse.light.sentence, link=LEDGER)


def _of_drains(drained: Iterable[Draining]) -> Iterable[Trouble]:
    for each in drained:
        words = each.words[:1].upper() + each.words[1:]
        if each.kind is Kind.SWITCH:
            words += " Every new caller hears 503."
        link = "" if each.kind is Kind.WORKER else DRAINS
        yield Trouble(words, severe=each.kind is Kind.SWITCH, link=link)


def _of_trunks(trunks: Iterable[tuple[str, Health, TrunkState | None]]) -> Iterable[Trouble]:
    for name, by_hand, state in trunks:
        if by_hand is Health.DOWN:
            yield Trouble(f"Trunk {name} is set down by hand: it is skipped.", severe=False)
        elif by_hand is Health.AUTO and state is not None and state.health is not Health.UP:
            down = state.health is Health.DOWN
            yield Trouble(
                f"Trunk {name} is {state.health}: {state.failed} of {state.attempts} attempts "
                f"failed in a minute.{' It is skipped but for trial calls.' if down else ''}",
                severe=down,
            )


def _of_limits(limits: Sequence[LimitUse]) -> Iterable[Trouble]:
    for limit in limits:
        if limit.percent >= 100:
            what = "calls beyond it are refused" if limit.enforced else "it is only observed"
            yield Trouble(
                f"The limit {limit.name} is reached: {what}.", limit.enforced, link=limit.link
            )


def _of_webhooks(pulse: Pulse, webhooks: Sequence[Webhook]) -> Iterable[Trouble]:
    if any(each.enabled for each in webhooks) and not any(
        process.kind == "webhooks" for process in pulse.processes
    ):
        yield Trouble(
            "Nobody brings messages to webhooks: they wait. Start `manage.py run_webhooks`."
        )
    for each in webhooks:
        if not each.enabled and each.disabled_because:
            yield Trouble(
                f"Webhook {each.name} was disabled: {each.disabled_because}", link=each.link
            )
        elif each.enabled and each.failing_since:
            yield Trouble(
                f"Webhook {each.name} has taken nothing since {each.failing_since}: what waits is "
                "tried again.",
                severe=False,
                link=each.link,
            )
