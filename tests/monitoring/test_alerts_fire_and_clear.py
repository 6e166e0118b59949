"""Each alert fires when what it is for happens, not before it has lasted, and clears afterwards.

promtool plays the series to the rules as Prometheus would see them.
"""

import subprocess

import pytest
import yaml

from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.packages import need_program
from tests.monitoring.files import ALERTS, rules

STEP_S = 15

# Alert → series, and their values every 15 s: well for five minutes, then wrong, then well again;
# and for how many steps what is wrong lasts, {n} in the values.
STORIES: dict[str, tuple[dict[str, str], int]] = {
    "RingmasterExporterDown": ({'up{job="ringmaster",instance="a:1"}': "1x20 0x{n} 1x60"}, 12),
    "RingmasterRedisDown": ({"ringmaster_redis_up": "1x20 0x{n} 1x60"}, 8),
    "RingmasterLimitsRedisDown": ({"ringmaster_limits_redis_up": "1x20 0x{n} 1x60"}, 8),
    "RingmasterRedisLostData": (
        {'ringmaster_redis_losses_total{process_id="b:1"}': "0x20 1x90"},
        8,
    ),
    "RingmasterDatabaseDown": ({"ringmaster_database_up": "1x20 0x{n} 1x60"}, 8),
    "RingmasterProcessMissing": ({'ringmaster_processes{kind="calls"}': "2x20 0x{n} 2x60"}, 8),
    "RingmasterProcessRestarts": (
        {
            'ringmaster_processes{kind="calls"}': "1x120",
            **{
                f'ringmaster_process_start_time_seconds{{kind="calls",process_id="a:{pid}"}}': (
                    f"_x{19 + pid} {pid}x1 _x120"
                )
                for pid in range(1, 6)
            },
        },
        12,
    ),
    "RingmasterNoStandby": ({'ringmaster_node_standbys{node="a"}': "1x20 0x{n} 1x60"}, 50),
    "RingmasterNodeNotHeard": ({'ringmaster_node_listeners{node="a"}': "1x20 0x{n} 1x60"}, 8),
    "RingmasterNodeUnreachable": (
        {
            'ringmaster_rest_requests_total{process="calls",status="unreachable"}': (
                "0x20 1+1x{n} 30x60"
            )
        },
        12,
    ),
    "RingmasterNodeHangs": (
        {'ringmaster_node_breaker_open{node="a",process_id="a:1"}': "0x20 1x{n} 0x60"},
        8,
    ),
    "RingmasterEventsPileUp": (
        {'ringmaster_events_waiting{process_id="b:1"}': "3x20 5000x{n} 0x60"},
        8,
    ),
    "RingmasterCallsWait": ({"ringmaster_mail_overdue_seconds": "0x20 4+15x{n} 0x60"}, 8),
    "RingmasterRecordsWait": ({"ringmaster_cdr_lag_seconds": "1x20 61+15x{n} 0x60"}, 12),
    "RingmasterLedgerRed": ({"ringmaster_ledger_balances": "1x20 0x{n} 1x60"}, 24),
    "RingmasterRecordsSetAside": ({"ringmaster_cdrs_set_aside": "0x20 1x{n} 0x60"}, 12),
    "RingmasterEventsSetAside": ({"ringmaster_events_set_aside": "0x20 1x{n} 0x60"}, 12),
    "RingmasterCallsRecovered": (
        {'ringmaster_calls_recovered_total{process_id="a:1"}': "0x20 3x100"},
        12,
    ),
    "RingmasterCallsGivenUp": (
        {"ringmaster_calls_given_up_total": "0x20 1x300"},
        8,
    ),
    "RingmasterTurnsFail": (
        {'ringmaster_turns_failed_total{process_id="a:1"}': "0x20 1+1x{n} 41x100"},
        40,
    ),
    "RingmasterTrunkDown": (
        {'ringmaster_trunk_state{trunk="a",state="down"}': "0x20 1x{n} 0x60"},
        12,
    ),
    "RingmasterTrunkDegraded": (
        {'ringmaster_trunk_state{trunk="a",state="degraded"}': "0x20 1x{n} 0x60"},
        50,
    ),
    "RingmasterFewAnswers": (
        {
            'ringmaster_calls_ended_total{disposition="answered",process_id="a:1"}': (
                "0+10x240 2410x100 2410+10x200"
            ),
            'ringmaster_calls_ended_total{disposition="busy",process_id="a:1"}': (
                "0+2x240 482+20x100 2502+2x200"
            ),
        },
        100,
    ),
    "RingmasterWebhooksWait": (
        {"ringmaster_webhook_outbox_lag_seconds": "0x20 61+15x{n} 0x60"},
        12,
    ),
    "RingmasterWebhookFails": (
        {"ringmaster_webhook_failing_seconds": "0x20 3601+15x{n} 0x60"},
        12,
    ),
    "RingmasterWebhookDisabled": ({"ringmaster_webhooks_disabled": "0x20 1x{n} 0x60"}, 12),
    "RingmasterClockOff": (
        {'ringmaster_node_clock_offset_seconds{node="a",process_id="a:1"}': "0.1x20 -4x{n} 0.1x60"},
        12,
    ),
    "RingmasterRedisClockOff": (
        {'ringmaster_redis_clock_offset_seconds{setting="REDIS_URL"}': "0.1x20 -4x{n} 0.1x60"},
        12,
    ),
}
BEGINS = {"RingmasterFewAnswers": 240}
"""The step at which it goes wrong, where that is not the twentieth."""
CLEAR_AT = {
    "RingmasterProcessRestarts": 100,
    "RingmasterRedisLostData": 75,
    "RingmasterCallsRecovered": 100,
    "RingmasterCallsGivenUp": 290,
    "RingmasterFewAnswers": 440,
}
"""The step at which it has cleared, where that is not a minute after what was wrong."""


@pytest.fixture(scope="module")
def promtool():
    try:
        return need_program("promtool", "prometheus", purpose="promtool")
    except LabError as error:
        cannot_be_had(error)


def firing(alert, step):
    """That at this step so many alerts of that name fire, as promtool checks it."""

    def expect(count):
        return {
            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
            "eval_time": f"{step * STEP_S}s",
            "exp_samples": [{"labels": "{}", "value": count}],
        }

    return expect


def test_every_alert_has_a_story():
    assert [rule["alert"] for rule in rules()] == list(STORIES)


def test_the_rules_are_well_formed(promtool):
    done = subprocess.run([promtool, "check", "rules", ALERTS], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", STORIES)
def test_it_fires_when_it_lasts_and_clears(promtool, tmp_path, alert):
    series, steps = STORIES[alert]
    begins = BEGINS.get(alert, 20)
    ends = begins + steps
    story = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": f"{STEP_S}s",
        "tests": [
            {
                "interval": f"{STEP_S}s",
                "input_series": [
                    {"series": name, "values": values.replace("{n}", str(steps))}
                    for name, values in series.items()
                ],
                "promql_expr_test": [
                    firing(alert, begins - 1)(0),
                    firing(alert, ends - 1)(1),
                    firing(alert, CLEAR_AT.get(alert, ends + 30))(0),
                ],
            }
        ],
    }
    (tmp_path / "story.yml").write_text(yaml.safe_dump(story))
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "story.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_is_wrong_what_to_do_and_when():
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "action"}
