"""manage.py health: whether a process, or the whole switch, can do its work."""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from ari_bridge import health


class Command(BaseCommand):
    help = (
        "Say whether all that is needed answers; ends with 1 when not. Without --process: the "
        "whole switch, wherever its processes run."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--process",
            choices=health.PROCESSES,
            help="only what this kind of process needs, and whether one is alive on this machine",
        )
        parser.add_argument(
            "--pid", type=int, default=0, help="with --process: the one with this process id"
        )
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        process = options["process"]
        if process is None:
            found = health.look(health.SWITCH)
        else:
            here = health.Where(health.THIS_MACHINE.host, options["pid"])
            found = health.look(process, here)
        if process == "web":
            found.append(health.serves(settings.WEB_BIND))
        well = all(check.well for check in found)
        if options["json"]:
            self.stdout.write(json.dumps({"well": well, "checks": [asdict(one) for one in found]}))
        else:
            for check in sorted(found, key=lambda one: one.well):
                self.stdout.write(f"{'well' if check.well else 'WRONG'}  {check.sentence}")
        if not well:
            sys.exit(1)
