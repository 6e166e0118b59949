"""What the doctor makes of the lines of a dialplan; above all, where it may send a trial call."""

import re
from dataclasses import replace

import pytest

from ari_bridge.doctor import dialplan
from ari_bridge.doctor.facts import Context
from ari_bridge.doctor.surroundings import endpoint_of
from tests.lab.asterisk_config import USER_FILES

APP = {"ARI_APP": "ringmaster"}


def sample() -> Context:
    text = (USER_FILES / "extensions.conf").read_text()
    body = text.partition("[from-callers]")[2].partition("\n[")[0]
    lines = re.findall(r"^ ?(exten|same) = (.*)$", body, re.M)
    return Context(
        "from-callers",
        (),
        tuple(line for kind, line in lines if kind == "exten"),
        tuple(line for kind, line in lines if kind == "same"),
    )


def test_the_sample_leads_nowhere_but_into_the_application():
    assert dialplan.applications(sample(), APP) == {"ringmaster"}
    assert dialplan.leads_nowhere_else(sample(), "ringmaster", APP)
    assert dialplan.handles_failure(sample())
    assert dialplan.limits_time(sample())


@pytest.mark.parametrize(
    "line",
    [
        "n,Dial(PJSIP/${EXTEN}@carrier-a)",
        "n,ExecIf($[1]?Dial(PJSIP/1@carrier-a))",
        "n,GotoIf($[1]?out,1,1)",
        "n,Goto(out,${EXTEN},1)",
        "n,Gosub(out,s,1)",
        "n,Macro(out)",
        "n,AGI(out.py)",
        "n,Queue(out)",
        "n,Originate(PJSIP/1@carrier-a,exten,a,1,1)",
        "n,Transfer(PJSIP/1)",
        "n,Exec(Dial(PJSIP/1))",
        "n,Stasis(another)",
        "n(x),System(rm)",
        "n,TryExec(Dial(PJSIP/1))",
    ],
)
def test_no_trial_call_is_sent_where_a_line_could_lead_elsewhere(line: str) -> None:
    other = replace(sample(), sames=(*sample().sames, line))

    assert not dialplan.leads_nowhere_else(other, "ringmaster", APP)


def test_no_trial_call_is_sent_into_a_context_that_hands_over_nothing():
    assert not dialplan.leads_nowhere_else(Context("x", (), (), ()), "ringmaster", APP)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("h", True),
        ("_[0-9a-z]!", True),
        ("_!", True),
        ("_.", True),
        ("_h", True),
        ("_[a-z]", True),
        ("_[A-Za-z].", False),
        ("_[!-@Z-`{-~]!", False),
        ("_X.", False),
        ("_X!", False),
        ("hh", False),
        ("_hX", False),
    ],
)
def test_which_patterns_match_the_extension_of_those_who_hung_up(
    pattern: str, matches: bool
) -> None:
    assert dialplan.matches_letter(pattern, "h") is matches


@pytest.mark.parametrize(
    ("dial_string", "endpoint"),
    [
        ("PJSIP/{number}@carrier-a", "carrier-a"),
        ("PJSIP/carrier-a", "carrier-a"),
        ("PJSIP/carrier-a/sip:{number}@sip.example", "carrier-a"),
        ("Local/{number}@monkeys", None),
    ],
)
def test_which_endpoint_a_dial_string_names(dial_string: str, endpoint: str | None) -> None:
    assert endpoint_of(dial_string) == endpoint
