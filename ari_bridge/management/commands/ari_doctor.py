"""manage.py ari_doctor: what is set wrongly, in sentences, each with what to do."""

import asyncio
from dataclasses import asdict
from time import monotonic, sleep
from typing import IO, Any, cast

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.text import Text

from ari_bridge.doctor import around, surroundings, trial_call
from ari_bridge.doctor.diagnosis import diagnose
from ari_bridge.doctor.facts import Facts, Finding, Level, Node
from ari_bridge.doctor.node import look
from ari_bridge.node import AriNode
from calls.store.heartbeats import BEAT_S, Process

MARKS = {
    Level.WELL: ("✓", "green"),
    Level.WARNING: ("!", "yellow"),
    Level.PROBLEM: ("✗", "bold red"),
    Level.UNKNOWN: ("?", "yellow"),
}


class Command(BaseCommand):
    help = (
        "Hold every setting that bites against the running Asterisk, Redis, database and "
        "processes, and say what is wrong and what to do. Last a trial call, which reaches no "
        "carrier, must leave exactly one call record. Ends with 1 when anything is wrong."
    )
    # It says itself what the checks of a start would say, and must run where those fail.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object a finding")
        parser.add_argument("--node", metavar="NAME", help="look at this node only")
        parser.add_argument("--no-call", action="store_true", help="place no trial call")

    def handle(self, *args: Any, **options: Any) -> None:
        nodes = _chosen(options["node"])
        facts = gather(nodes, call=not options["no_call"])
        findings = diagnose(facts)
        if options["json"]:
            for finding in findings:
                self.stdout.write(orjson.dumps(asdict(finding)).decode())
        else:
            self._tell(findings)
        wrong = sum(finding.level is Level.PROBLEM for finding in findings)
        if wrong:
            raise SystemExit(1)

    def _tell(self, findings: list[Finding]) -> None:
        # Its own stream, so that whoever calls the command gets what it prints.
        console = Console(file=cast(IO[str], self.stdout), highlight=False, soft_wrap=True)
        for finding in findings:
            mark, style = MARKS[finding.level]
            about = f"{finding.about}: " if finding.about else ""
            console.print(Text.assemble((f"{mark} ", style), about, finding.sentence))
            if finding.fix:
                console.print(Text(f"    {finding.fix}", "dim"))
        console.print(Text(summary(findings), "bold"))


def summary(findings: list[Finding]) -> str:
    """The last line."""
    count = {level: sum(each.level is level for each in findings) for level in Level}
    if count[Level.WELL] == len(findings):
        return f"All well: {count[Level.WELL]} findings, none of them bad."
    told = [_counted(number, level) for level, number in count.items() if number]
    return ", ".join(told).capitalize() + "."


def _counted(number: int, level: Level) -> str:
    plural = number != 1 and level in (Level.PROBLEM, Level.WARNING)
    return f"{number} {level}{'s' if plural else ''}"


def gather(nodes: list[AriNode], *, call: bool) -> Facts:
    """Everything that there is to look at, and then the trial call through each node."""
    trunks = around.trunks()
    dialled = tuple(trunk.dial_string for trunk in trunks or () if trunk.enabled)
    found = asyncio.run(_look_at(nodes, dialled))
    processes, waiting, oldest_s = _alive(found)
    placed = tuple(
        asyncio.run(trial_call.place(node, seen, settings.ARI_APP))
        for node, seen in zip(nodes, found, strict=True)
        if call and seen.may_write
    )
    return Facts(
        app=settings.ARI_APP,
        rest=settings.ARI_REST,
        nodes=tuple(found),
        redis=around.redis_servers(),
        broker=around.broker(),
        database=around.database(),
        processes=processes,
        waiting_records=waiting,
        webhooks=around.webhooks(),
        oldest_record_s=oldest_s,
        trunks=trunks,
        calls=placed,
    )


def _alive(nodes: list[Node]) -> tuple[tuple[Process, ...] | None, int, float]:
    """As around.alive, once a bridge that has just connected has had the time to say so."""
    until = monotonic() + 2 * BEAT_S
    connected = {node.name for node in nodes if node.connected}
    while True:
        processes, waiting, oldest_s = around.alive()
        bridges = any(each.kind == "bridge" for each in processes or ())
        told = not bridges or connected <= surroundings.listened_to(processes or ())
        if told or monotonic() > until:
            return processes, waiting, oldest_s
        sleep(0.2)


async def _look_at(nodes: list[AriNode], trunks: tuple[str, ...]) -> list[Node]:
    return list(await asyncio.gather(*(look(node, settings.ARI_APP, trunks) for node in nodes)))


def _chosen(name: str | None) -> list[AriNode]:
    nodes: dict[str, AriNode] = settings.ARI_NODES
    if name is None:
        return list(nodes.values())
    if name not in nodes:
        raise CommandError(f"ARI_NODES has no node {name!r}; it has {', '.join(nodes) or 'none'}.")
    return [nodes[name]]
