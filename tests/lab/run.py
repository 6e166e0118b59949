"""python -m tests.lab.run: the whole of Ringmaster at work on a lab, started again on every change.

Redis, Asterisk and a carrier stay up; the Procfile's processes, the admin among them, are started
again whenever a file that they run changes. A file that cannot be run is said, and the next
change tries again. The database stays in ``.lab/run/``.
"""

import logging
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.text import Text
from watchfiles import Change, DefaultFilter, watch

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.demo.stage import ADMIN, Stage, stage
from tests.lab.errors import LabError
from tests.lab.packages import console
from tests.lab.ports import LOOPBACK

CODE = ("ari_bridge", "calls", "cdr", "project")
RUNS = (".py", ".lua", ".html", ".css", ".js")


class _Code(DefaultFilter):
    """What the processes run."""

    def __call__(self, change: Change, path: str) -> bool:
        return path.endswith(RUNS) and super().__call__(change, path)


def main() -> int:
    """Run until Ctrl-C; gives the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    try:
        with stage(REPOSITORY / ".lab" / "run") as running:
            _say_where(running)
            folders = [REPOSITORY / name for name in CODE]
            # watch() returns at Ctrl-C.
            for changes in watch(*folders, watch_filter=_Code(), raise_interrupt=False):
                _start_again(running, sorted({path for _, path in changes}))
            console.print("Stopping …")
    except KeyboardInterrupt:
        return 0
    except LabError as error:
        console.print(Text(str(error), "red"))
        return 1
    return 0


def _say_where(running: Stage) -> None:
    console.print(f"Admin: {running.admin_url}   login: {ADMIN}   password: {running.password}")
    console.print(
        f"A SIP phone can call 8820001 and 8830001 as user alice (no password) at "
        f"{LOOPBACK}:{running.asterisk.sip_port}. Logs: {running.stack.folder}\n"
        "[bold]Everything is started again when a file changes, until Ctrl-C.[/bold]"
    )


def _start_again(running: Stage, paths: Iterable[str]) -> None:
    named = ", ".join(str(Path(path).relative_to(REPOSITORY)) for path in paths)
    console.print(Text(f"{named}: starting again …"))
    for name in running.stack.names:
        running.stack.restart(name)
    try:
        running.stack.wait_ready(running.asterisk)
    except LabError as error:
        console.print(Text(f"{error}\nThe next change tries again.", "red"))
    else:
        console.print("[green]✓[/green] running")


if __name__ == "__main__":
    sys.exit(main())
