"""Who reads records by the API and by webhooks finds the same names in both."""

import orjson
import pytest

from calls.api.records import AttemptDocument, CdrDocument
from calls.models import WebhookDelivery
from calls.store.outbox import ended
from cdr.models import Cdr
from cdr.writer import store
from tests.cdr.made_up import record

pytestmark = pytest.mark.django_db


def test_a_record_has_the_names_of_the_api(make_endpoint):
    make_endpoint()
    ended([record()])
    message = orjson.loads(WebhookDelivery.objects.get().body)
    assert message["type"] == "call.ended"
    assert message["timestamp"] == message["data"]["ended_at"] == "2025-10-09T08:53:32.600000Z"
    assert message["data"].keys() == CdrDocument.model_fields.keys()
    (attempt,) = message["data"]["attempts"]
    assert attempt.keys() == AttemptDocument.model_fields.keys()
    told = CdrDocument(**message["data"])
    assert (told.call_id, told.billsec) == (record().call_id, record().billsec)


def test_deliveries_and_rows_are_written_together_or_not_at_all(make_endpoint):
    make_endpoint()

    def fault(records):
        ended(records)
        raise RuntimeError("a fault after the deliveries")

    with pytest.raises(RuntimeError):
        store([record()], fault)
    assert not WebhookDelivery.objects.exists()
    assert not Cdr.objects.exists()


def test_a_record_that_is_handed_over_again_is_told_once(make_endpoint):
    make_endpoint()
    assert [store([record()], ended), store([record()], ended)] == [1, 0]
    assert WebhookDelivery.objects.count() == 1
