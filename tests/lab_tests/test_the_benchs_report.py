"""What the bench makes of its runs: medians, the highest rate held, a table, a drawing, JSON."""

import json
from xml.etree import ElementTree

from tests.lab.bench import report
from tests.lab.bench.load import Cost, Run
from tests.lab.sip import Calls, SeenCall


def seen(answer_ms: float | None) -> SeenCall:
    final = None if answer_ms is None else 200
    return SeenCall("1", (), final, "caller", False, answer_ms)


def run(
    name: str = "Ringmaster",
    rate: int = 50,
    *,
    cpu: float = 4.0,
    failed: int = 0,
    answer: float = 8.0,
) -> Run:
    calls = Calls((*[seen(answer)] * 9, *[seen(None)] * failed), 0, "")
    costs = {
        "bridge": Cost(cpu / 4, 10_000_000, 20_000_000),
        "calls <hot>": Cost(cpu * 3 / 4, 10_000_000, 30_000_000),
        "asterisk": Cost(8.0, 0, 0),
    }
    return Run(name, calls, rate, costs, {"evalsha": 12.04, "lpush": 4.0, "nudges": 2.0})


def test_a_row_has_the_medians_of_its_runs_and_all_their_failures():
    row = report.row_of([run(cpu=9.0, answer=30), run(cpu=4.0), run(cpu=5.0, failed=2)])

    assert (row.runs, row.calls, row.failed) == (3, 29, 2)
    assert row.own_ms == 5.0
    assert row.asterisk_ms == 8.0, "Asterisk's own is not part of ours"
    assert row.by_asterisk == 5.0 / 8.0
    assert row.answer_ms == {50: 8.0, 90: 8.0, 99: 8.0}
    assert row.memory_mb == {"bridge": 20.0, "calls <hot>": 30.0}
    assert (row.scripts, row.nudges) == (12.0, 2.0)


def test_the_highest_rate_is_the_last_one_before_the_first_failure():
    rows = [report.row_of([run(rate=rate, failed=rate == 80)]) for rate in (100, 20, 80, 50)]

    assert report.highest_rate(rows, "Ringmaster") == 50
    assert report.highest_rate(rows, "nobody") == 0


def test_the_table_has_a_line_for_each_row_and_the_notes():
    text = report.markdown([report.row_of([run()]), report.row_of([run("bare")])], ["idle: 1"])

    assert "| Ringmaster | 50 | 0 of 9 | 8 / 8 / 8 | 4.0 | 0.50 | bridge 1.0, calls" in text
    assert "| bare | 50 |" in text
    assert "* idle: 1" in text


def test_the_drawing_is_well_formed_whatever_the_names_are():
    root = ElementTree.fromstring(report.svg([report.row_of([run("a & b")])]))  # noqa: S314 - ours

    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a & b, 50/s" in texts
    assert "4.0 ms" in texts
    assert "calls <hot>" in texts


def test_the_json_holds_every_figure():
    found = json.loads(json.dumps(report.as_json([report.row_of([run()])], {"date": "today"})))

    assert found["date"] == "today"
    assert found["rows"][0]["cpu_ms"] == {"bridge": 1.0, "calls <hot>": 3.0}
    assert found["rows"][0]["answer_ms"]["99"] == 8.0
