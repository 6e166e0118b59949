"""What a month of call records costs when it leaves the database, and who waits meanwhile.

python -m tests.lab.bench.archive [--cdrs 500000]

The month before last is filled (generate_series; one attempt and one note a call), and as many
records lie before and after it. The month is archived and deleted by the product's own code while a
writer writes batches of 20 records as the records worker does; each of its batches is timed, with
and without the archiving beside it.
"""

import argparse
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

console = Console()
WRITTEN_AT_ONCE = 20
PAUSE_S = 0.05
MONTH = timedelta(days=28)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cdrs", type=int, default=500_000, help="of the month")
    asked = parser.parse_args()
    from tests.lab.bench.admin_setting import setting

    with setting(), tempfile.TemporaryDirectory() as folder:
        _run(asked.cdrs, Path(folder))


def _run(count: int, folder: Path) -> None:
    from django.db import connection

    from cdr import archive
    from cdr.archive import Month

    month = Month.of(datetime.now(UTC)).plus(-2)
    with connection.cursor() as cursor:
        for number, part in enumerate((month.plus(-1), month, month.plus(1))):
            _fill(cursor, count, part, number)
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('cdr_cdr', 'id'), max(id)) FROM cdr_cdr"
        )
        cursor.execute("VACUUM ANALYZE")
    alone = _written_during(lambda: time.sleep(5), "alone")
    took: dict[str, float] = {}

    def all_of_it() -> None:
        began = time.monotonic()
        found = archive.write(month, folder)
        assert found is not None
        took["files"] = time.monotonic() - began
        began = time.monotonic()
        took["dropped"] = archive.drop(found, folder)
        took["deleted"] = time.monotonic() - began

    beside = _written_during(all_of_it, "beside")
    sizes = sum(path.stat().st_size for path in folder.iterdir())
    console.print(
        f"{count:,} records of {month}: files {took['files']:.1f} s, {sizes / 1e6:.0f} MB; "
        f"deleted {took['dropped']:,.0f} in {took['deleted']:.1f} s "
        f"({took['dropped'] / took['deleted']:,.0f} a second)"
    )
    for name, times in (("alone", alone), ("beside the archiving", beside)):
        console.print(
            f"a batch of {WRITTEN_AT_ONCE} records, {name}: median "
            f"{statistics.median(times):.1f} ms, 99 % {_percentile(times, 99):.1f} ms, "
            f"longest {max(times):.1f} ms, {len(times)} batches"
        )


def _fill(cursor: Any, count: int, month: Any, number: int) -> None:
    from tests.lab.bench.admin_rows import CDRS

    # Times are counted from row 1 on, so the rows of later months begin as much earlier.
    ends = month.begins + MONTH * (1 - number)
    given = {"first": number * count + 1, "last": (number + 1) * count, "count": count, "now": ends}
    cursor.execute(CDRS.replace("interval '30 days'", "interval '28 days'"), given)
    cursor.execute(
        "INSERT INTO cdr_cdrattempt (cdr_id, number, trunk, outcome, channel_id, callee_sent, "
        "started_at, pdd_ms, reason, sip_call_id) SELECT id, 1, trunk, 'dialled', '', callee_sent, "
        "started_at, pdd_ms, '', '' FROM cdr_cdr WHERE started_at >= %s AND started_at < %s",
        [month.begins, month.ends],
    )
    cursor.execute(
        "INSERT INTO cdr_beguncall (call_id, begun_at) SELECT call_id, started_at FROM cdr_cdr "
        "WHERE started_at >= %s AND started_at < %s",
        [month.begins, month.ends],
    )


def _written_during(work: Any, name: str) -> list[float]:
    """The ms that each batch of new records took to write while ``work`` ran."""
    from django.db import connections

    from cdr import writer
    from tests.cdr.made_up import record

    over = threading.Event()
    times: list[float] = []

    def write() -> None:
        number = 0
        now_ms = round(time.time() * 1000)
        while not over.is_set():
            records = []
            for _ in range(WRITTEN_AT_ONCE):
                number += 1
                records.append(record(f"{name}:{number}", started_ms=now_ms, ended_ms=now_ms + 9))
            began = time.perf_counter()
            writer.store(records)
            times.append((time.perf_counter() - began) * 1000)
            over.wait(PAUSE_S)
        connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        work()
    finally:
        over.set()
        thread.join()
    return times


def _percentile(times: list[float], percent: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]


if __name__ == "__main__":
    main()
