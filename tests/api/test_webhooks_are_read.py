"""A program of the staff reads which webhooks there are, and what became of their messages."""

import pytest

from calls.models import WebhookDelivery, WebhookEndpoint
from calls.store.outbox import ended
from tests.api.test_who_may_ask import problem
from tests.cdr.made_up import record


@pytest.fixture(autouse=True)
def redis(clean_redis):
    return clean_redis


@pytest.fixture
def told(db):
    """Three endings told to one webhook; the second has failed."""
    endpoint = WebhookEndpoint(name="crm", url="https://crm.example/", events="call.ended")
    plain = endpoint.new_secret()
    endpoint.save()
    ended([record(f"pbx1:{number}") for number in (1, 2, 3)])
    failed = {"state": "failed", "problem": "It answered 500", "status": 500, "attempts": 12}
    WebhookDelivery.objects.filter(call_id="pbx1:2").update(**failed)
    return plain


def test_webhooks_are_listed_without_anything_of_their_secrets(boss, program, told):
    answer = program(boss)("get", "webhooks")
    (row,) = answer.json()["rows"]
    assert (row["name"], row["events"], row["enabled"]) == ("crm", ["call.ended"], True)
    assert told not in answer.content.decode()
    assert not {"salt", "proof", "secret", "former_salt"} & row.keys()


def test_deliveries_are_found_and_paged(boss, program, told):
    ask = program(boss)
    (failed,) = ask("get", "webhooks/deliveries?state=failed").json()["rows"]
    assert (failed["call_id"], failed["problem"], failed["status"]) == (
        "pbx1:2",
        "It answered 500",
        500,
    )
    assert failed["next_attempt_at"] is None
    first = ask("get", "webhooks/deliveries?limit=2").json()
    rest = ask("get", f"webhooks/deliveries?limit=2&cursor={first['next']}").json()
    calls = [row["call_id"] for page in (first, rest) for row in page["rows"]]
    assert calls == ["pbx1:3", "pbx1:2", "pbx1:1"]
    assert rest["next"] is None
    assert ask("get", "webhooks/deliveries?call_id=pbx1:1").json()["rows"][0]["state"] == "waiting"
    problem(ask("get", "webhooks/deliveries?state=lost"), 422, "invalid")


def test_an_accounts_program_reads_none(acme, program, told):
    ask = program(acme)
    for path in ("webhooks", "webhooks/deliveries"):
        problem(ask("get", path), 403, "staff-only")


def test_who_may_not_look_in_the_admin_may_not_here(boss, program, told):
    boss.groups.clear()
    problem(program(boss)("get", "webhooks"), 403, "no-permission")
