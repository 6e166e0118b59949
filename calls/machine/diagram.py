"""docs/machine.md, drawn from the table of calls/machine/table.py.

python -m calls.machine.diagram > docs/machine.md
"""

import sys
from collections.abc import Iterator

from calls.machine.session import Phase
from calls.machine.table import TABLE

_INTRODUCTION = """\
# How a call goes

Drawn from the table in `calls/machine/table.py`, by `python -m calls.machine.diagram >
docs/machine.md`; a test keeps the two the same. An arrow bears the signals that may lead along it:
`a` is the caller's channel, `b` the current attempt's; `done …` and `failed …` are the results of
commands; `listed` is what a look at Asterisk found, `doubted` the reason to look, and `asked` a
person's wish to end the call. A signal may always leave a call where it is, and one that is on no
arrow only adds a fact, such as the time of the ringing. A call whose last channel goes while it
begins to end is over in the same step. Nothing leads out of `over`.
"""


def document() -> str:
    """The whole text of docs/machine.md."""
    return f"{_INTRODUCTION}\n```mermaid\n{diagram()}```\n"


def diagram() -> str:
    """The machine as a Mermaid stateDiagram: one arrow for each pair of phases."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {Phase.ROUTING}: a caller entered"
    yield f"    [*] --> {Phase.CALLING}: somebody ordered a call"
    for before in Phase:
        for after in Phase:
            signals = [
                str(signal)
                for (phase, signal), row in TABLE.items()
                if phase is before and after in row.to
            ]
            if before is Phase.ENDING and after is Phase.OVER:
                signals.append("nothing of it is left")
            if signals and before is not after:
                yield f"    {before} --> {after}: {'<br/>'.join(signals)}"
    yield f"    {Phase.OVER} --> [*]"


if __name__ == "__main__":
    sys.stdout.write(document())
