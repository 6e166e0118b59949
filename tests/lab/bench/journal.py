"""What the journal costs: Ringmaster with it and without it, in turn, under the same calls.

    python -m tests.lab.bench.journal [--rate CALLS] [--seconds S] [--repeat N]

Then the kept traces are decided again by `replay_traces`, which must find no difference. Exits 1
when it finds one, or a call failed.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from tests.lab.asterisk import Asterisk
from tests.lab.bench import contestants, load
from tests.lab.bench.contestants import Contestant
from tests.lab.bench.load import ASTERISK, Run
from tests.lab.bench.product import manage
from tests.lab.errors import LabError
from tests.lab.processes import temporary_folder
from tests.lab.sip import Caller, Carrier

WITH, WITHOUT = "with the journal", "without"
SETTINGS = {
    WITH: {"TRACE_DAYS": "7", "TRACE_FAILED_DAYS": "30"},
    WITHOUT: {"TRACE_DAYS": "0", "TRACE_FAILED_DAYS": "0"},
}
SIZES = """
from django.db.models import Avg
from django.db.models.functions import Length
from cdr.models import CallTrace
print(CallTrace.objects.count(), CallTrace.objects.aggregate(n=Avg(Length("journal")))["n"])
"""


def main() -> int:
    """Measure, print, and judge what is right or wrong whatever the machine does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    runs: dict[str, list[Run]] = defaultdict(list)
    wrong = []
    folder = temporary_folder("journal")
    with Asterisk() as asterisk, Carrier(asterisk.carrier_ports["carrier-a"]):
        caller = Caller(asterisk.sip_port)
        for turn in range(options.repeat):
            for name in (WITH, WITHOUT):
                path = Path(folder, f"{turn}-{name.split()[0]}")
                path.mkdir()
                with contestants.ringmaster(path, asterisk, SETTINGS[name]) as contestant:
                    load.warm_up(caller, contestant)
                    run = load.run(
                        caller, contestant, asterisk, rate=options.rate, seconds=options.seconds
                    )
                    runs[name].append(run)
                    _say(name, run)
                    if run.failed:
                        wrong.append(f"{run.failed} calls failed {name}")
                    if name == WITH:
                        wrong += _look_at_traces(contestant)
    for name, done in runs.items():
        own = statistics.median(run.cpu_ms(run.own) for run in done)
        share = statistics.median(run.cpu_ms(run.own) / run.cpu_ms([ASTERISK]) for run in done)
        print(f"{name}: median {own:.2f} ms a call, {share:.3f} of Asterisk's")
    print("\n".join(wrong) or "No call failed, and no trace would be treated otherwise.")
    return 1 if wrong else 0


def _say(name: str, run: Run) -> None:
    own = ", ".join(f"{each} {run.cpu_ms([each]):.2f}" for each in run.own)
    asterisk = run.cpu_ms([ASTERISK])
    print(f"{name}: {run.cpu_ms(run.own):.2f} ms a call ({own}); Asterisk {asterisk:.2f}")


def _look_at_traces(contestant: Contestant) -> list[str]:
    product = contestant.product
    assert product is not None
    environment = product.environment
    sizes = manage(environment, "shell", "--no-imports", "--command", SIZES).split()
    print(f"  {sizes[0]} traces of {float(sizes[1]):.0f} bytes")
    try:
        print(f"  replay_traces: {manage(environment, 'replay_traces').strip()}")
    except LabError as error:
        return [str(error)]
    return []


if __name__ == "__main__":
    sys.exit(main())
