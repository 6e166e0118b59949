"""manage.py hangup_call ends a live call on both sides."""

import subprocess
import sys

from tests.integration.conftest import Ringmaster
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.sip import Caller, Carrier


def test_hangup_call_ends_both_legs_and_the_cdr_says_who(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    running = caller.start("49200", talk_ms=20_000)
    running.wait_until_answered(1)
    (call,) = ringmaster.live_calls()

    done = subprocess.run(
        [sys.executable, "manage.py", "hangup_call", call.decode()],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert running.wait().seen[0].ended_by == "callee"
    carrier.wait_for("49200", "BYE-RECEIVED")
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by) == ("answered", "admin")
    assert cdr.reason.startswith("hung up by ")


def test_a_call_that_is_not_there_is_refused_with_a_sentence(ringmaster: Ringmaster) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "hangup_call", "lab:1.2"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "There is no live call lab:1.2" in done.stderr
