"""Four processes ask for 100 calls a second against 50 at a time and 20 a second."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from calls.store.counters import counter_key
from tests.lab.processes import Child
from tests.lab.waiting import wait_for
from tests.limits.holder import RULES

PROCESSES = 4
RATE = 25
"""Calls a second of each process, on average; they come in bursts, as calls do."""
HOLD_S = 3.2
"""Twenty a second of this length are 64 at a time: both limits bite."""
LAG_S = 0.1
"""How late the end of a call may free its place."""


def start(redis_url: str, folder: Path, calls: int, lease_ms: int) -> list[Child]:
    def command(name: str) -> list[str]:
        options = (name, calls, RATE, HOLD_S, lease_ms, folder / f"{name}.jsonl")
        return [sys.executable, "-m", "tests.limits.holder", redis_url, *map(str, options)]

    return [
        Child(f"p{number}", command(f"p{number}"), folder / f"p{number}.log")
        for number in range(PROCESSES)
    ]


def seen(folder: Path) -> dict[str, list[dict]]:
    """What the processes have written, by what it says, in the order it happened."""
    lines = [
        json.loads(line)
        for path in folder.glob("*.jsonl")
        for line in path.read_text().splitlines()
        if line.endswith("}")
    ]
    found: dict[str, list[dict]] = {}
    for line in sorted(lines, key=lambda line: line["from"]):
        found.setdefault(line["what"], []).append(line)
    return found


def at_the_same_time(spans: list[tuple[float, float]]) -> int:
    """The most spans that overlap at any moment."""
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


@pytest.fixture
def counters(clean_redis: "redis.Redis") -> Callable[[], list[int]]:
    """How many calls stand in the counters of calls, whether lapsed or not."""
    return lambda: [clean_redis.zcard(counter_key(each)) for each in (RULES[0], RULES[2])]


def test_never_above_the_limits_no_refusal_below_them_and_nothing_left(
    redis_url: str, tmp_path: Path, clean_redis: "redis.Redis", counters: Callable[[], list[int]]
) -> None:
    processes = start(redis_url, tmp_path, calls=8 * RATE, lease_ms=30_000)
    codes = [process.wait(60) for process in processes]

    assert codes == [0] * PROCESSES, [process.log_tail() for process in processes]
    found = seen(tmp_path)
    over = {line["call"]: line for line in found["over"]}
    let_in = found["in"]
    assert set(over) == {line["call"] for line in let_in}

    # A place is held at least from the answer to the end's question: never more than 50.
    surely = [(line["to"], over[line["call"]]["from"]) for line in let_in]
    assert at_the_same_time(surely) == 50

    # 21 calls in a row take at least a second, however early and late they were let in.
    asked = sorted(line["from"] for line in let_in)
    answered = sorted(line["to"] for line in let_in)
    assert all(late - early >= 1 for early, late in zip(asked, answered[20:], strict=False))

    for refusal in found["concurrent"]:
        begin, end = refusal["from"], refusal["to"]
        held = [
            line
            for line in let_in
            if line["from"] <= end and over[line["call"]]["to"] + LAG_S >= begin
        ]
        assert len(held) >= 50, refusal
    for refusal in found["cps"]:
        begin, end = refusal["from"], refusal["to"]
        recent = [line for line in let_in if line["to"] >= begin - 1 and line["from"] <= end]
        assert len(recent) >= 20, refusal

    assert counters() == [0, 0]
    assert int(clean_redis.get(counter_key(RULES[3]))) == 1000 * len(let_in)


def test_what_a_killed_process_held_is_free_within_the_lease_and_the_others_keep_theirs(
    redis_url: str, tmp_path: Path, clean_redis: "redis.Redis", counters: Callable[[], list[int]]
) -> None:
    lease_ms = 1500
    processes = start(redis_url, tmp_path, calls=8 * RATE, lease_ms=lease_ms)
    wait_for(
        lambda: counters() == [50, 50], timeout_s=30, failure=lambda: f"never full: {counters()}"
    )
    victim, *others = processes
    victim.kill()
    victim_calls = "demo:1.p0."
    killed = seen(tmp_path)
    over = {line["call"] for line in killed.get("over", ())}
    lost = {line["call"] for line in killed["in"]} - over
    lost = {call for call in lost if call.startswith(victim_calls)}
    assert lost

    counter = counter_key(RULES[0])

    def now_ms() -> int:
        seconds, micros = clean_redis.time()
        return seconds * 1000 + micros // 1000

    def members() -> set[str]:
        return {call.decode() for call in clean_redis.zrangebyscore(counter, now_ms(), "+inf")}

    lapse_ms = [clean_redis.zscore(counter, call) or 0 for call in lost]
    assert max(lapse_ms) <= now_ms() + lease_ms
    wait_for(
        lambda: not lost & members(),
        timeout_s=lease_ms / 1000 + LAG_S,
        failure=lambda: f"still held: {lost & members()}",
    )

    try:
        assert [process.wait(60) for process in others] == [0] * len(others)
    except subprocess.TimeoutExpired:
        pytest.fail("\n".join(process.log_tail() for process in others))
    found = seen(tmp_path)
    over_at = {line["call"]: line["from"] for line in found["over"]}
    # What the others held was never lent out again: no more than 50 of theirs at any time.
    theirs = [
        (line["to"], over_at[line["call"]]) for line in found["in"] if line["call"] in over_at
    ]
    assert at_the_same_time(theirs) <= 50
    assert members() == set()
