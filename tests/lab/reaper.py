"""Helper of ``processes.py``: kills and removes what its parent leaves behind.

Reads one JSON object a line from standard input: ``{"kill": group}`` notes a process group,
``{"spare": group}`` forgets it, ``{"remove": path}`` notes a temporary folder. Acts when the input
ends, which is when the parent is gone.
"""

import contextlib
import json
import os
import shutil
import signal
import sys


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    folders: set[str] = set()
    for line in sys.stdin:
        message = json.loads(line)
        if "kill" in message:
            groups.add(message["kill"])
        if "spare" in message:
            groups.discard(message["spare"])
        if "remove" in message:
            folders.add(message["remove"])
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


main()
