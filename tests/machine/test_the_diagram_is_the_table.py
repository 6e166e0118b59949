"""docs/machine.md shows the machine as it is."""

import subprocess
import sys
from pathlib import Path

from calls.machine import diagram, table
from calls.machine.session import Phase

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_document_is_what_the_table_gives():
    written = (REPOSITORY / "docs" / "machine.md").read_text()

    assert written == diagram.document(), "run: python -m calls.machine.diagram > docs/machine.md"


def test_the_command_prints_the_document():
    printed = subprocess.run(
        [sys.executable, "-m", "calls.machine.diagram"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )

    assert printed.stdout.decode() == diagram.document()


def test_every_signal_that_leads_to_another_phase_is_on_an_arrow():
    arrows = {}
    for line in diagram.diagram().splitlines():
        ends, _, signals = line.strip().partition(": ")
        if " --> " in ends:
            arrows[tuple(ends.split(" --> "))] = signals.split("<br/>")

    for (phase, signal), row in table.TABLE.items():
        for after in row.to:
            if after is not phase:
                assert str(signal) in arrows[phase, after]
    assert [after for before, after in arrows if before == Phase.OVER] == ["[*]"]
