"""Debian's fail2ban-regex: whom a filter would ban for the lines of a log."""

import re
import subprocess
from pathlib import Path

from tests.lab.packages import need_program


def banned(lines: str, filter_file: str | Path, folder: Path) -> list[str]:
    """The addresses of the lines that count, in order, one for each.

    ``filter_file`` is a path, or the name of one of fail2ban's own. Raises LabError where it cannot
    be had.
    """
    program = need_program("fail2ban-regex", "fail2ban", purpose="fail2ban")
    log = folder / "read-by-fail2ban.log"
    log.write_text(lines)
    done = subprocess.run(
        [program, "--out", "ip", str(log), str(filter_file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "ERROR" not in done.stderr, done.stderr
    return re.findall(r"^[0-9a-f.:]+$", done.stdout, flags=re.M)
