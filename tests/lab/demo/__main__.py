"""python -m tests.lab.demo: sets everything up, places the calls, shows and judges their records.

On a terminal it stays up until Ctrl-C. Elsewhere it ends with 0 when every call has exactly the
record it should have, and with 1 when not. Stopped before that by a signal: 128 + its number.
"""

import argparse
import re
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.demo.stage import ADMIN, Stage, stage
from tests.lab.errors import LabError
from tests.lab.packages import console as progress
from tests.lab.ports import LOOPBACK

FAULT_IN_LOG = re.compile(r"^.*(?: ERROR | CRITICAL |Traceback ).*$", re.M)
WATCH_S = 1.0


class Interrupts:
    """The first signal to end raises KeyboardInterrupt; those after it find us ending already."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.number = 0
        for number in self.NUMBERS:
            signal.signal(number, self._first)

    def _first(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.ignore()
        raise KeyboardInterrupt

    def ignore(self) -> None:
        """What is being taken down is taken down to the end."""
        for number in self.NUMBERS:
            # Not SIG_IGN, which a child would inherit.
            signal.signal(number, lambda *_: None)


def main() -> int:
    """Run the demo and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.demo", description=main.__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=REPOSITORY / ".lab",
        help="where the database and the logs stay (default: .lab)",
    )
    folder = parser.parse_args().folder
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    interrupts = Interrupts()
    code = None
    try:
        with stage(folder) as running:
            try:
                code = _run(running, folder)
                if sys.stdin.isatty():
                    code = _stay(running) or code
            finally:
                interrupts.ignore()
                progress.print("Stopping …")
    except KeyboardInterrupt:
        if code is None:
            progress.print("Stopped before all calls were over and judged.", style="yellow")
            code = 128 + interrupts.number
    except LabError as error:
        progress.print(Text(str(error), "red"))
        code = 1
    return code


def _run(stage: Stage, folder: Path) -> int:
    """Place the calls, show what came of them; gives 0 when all is right, else 1."""
    # They need Django, which the stage has just set up.
    from tests.lab.demo import scenario
    from tests.lab.demo.calling import Calling
    from tests.lab.demo.display import Board, records, stdout
    from tests.lab.demo.verdict import judge

    out = stdout()
    ill = _examine()
    with Board(out, scenario.CALLS) as board:
        played = Calling(stage, board).run()
    judged, faults = judge(scenario.CALLS, played.records, played.heard)
    out.print(records(judged))
    faults = [
        *ill,
        *(f"{each.call.title}: {fault}." for each in judged for fault in each.faults),
        *faults,
        *played.faults,
        *_process_faults(stage),
    ]
    _print_verdict(out, len(judged), faults, folder)
    out.print(f"\nAdmin: {stage.admin_url}   login: {ADMIN}   password: {stage.password}")
    return 1 if faults else 0


def _examine() -> list[str]:
    """Let the doctor look before the first call; gives a sentence where it finds anything wrong."""
    from django.core.management import call_command

    try:
        call_command("ari_doctor")
    except SystemExit:
        return ["The doctor finds something wrong: see above."]
    return []


def _process_faults(stage: Stage) -> list[str]:
    found = []
    for name in stage.stack.names:
        if not stage.stack.running(name):
            found.append(f"The process {name} has ended.")
        elif line := FAULT_IN_LOG.search(stage.stack.log(name)):
            found.append(f"The process {name} logged a fault: {line[0].strip()}")
    return found


def _print_verdict(out: Console, calls: int, faults: Sequence[str], folder: Path) -> None:
    if not faults:
        out.print(
            f"\nAll {calls} calls have exactly the call record they should have, and nothing is "
            "left in Asterisk.",
            style="bold green",
        )
        return
    out.print("\nSomething is wrong:", style="bold red")
    for fault in faults:
        out.print(Text(f"  {fault}"))
    out.print(Text(f"The processes' logs are in {folder / 'demo-logs'}."))


def _stay(stage: Stage) -> int:
    """Stay up until a signal comes; gives 1 when a process ends by itself."""
    progress.print(
        f"A SIP phone can call 8820001 and 8830001 as user alice (no password) at "
        f"{LOOPBACK}:{stage.asterisk.sip_port}.\n[bold]Everything stays up until Ctrl-C.[/bold]"
    )
    wait = threading.Event()
    while not wait.wait(WATCH_S):
        for name in stage.stack.names:
            if not stage.stack.running(name):
                progress.print(f"The process {name} has ended by itself.", style="red")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
