"""Signatures are those of the Standard Webhooks specification: a library of others takes them."""

import base64
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from calls.models.webhooks import secret_text
from calls.webhooks.signature import headers

OLD, NEW = b"o" * 32, b"n" * 32
BODY = '{"type": "call.ended", "data": {"caller_name": "Jürgen"}}'.encode()


def signed(*secrets, body=BODY, at_s=None):
    return headers("msg_1", int(time.time()) if at_s is None else at_s, body, secrets)


def test_a_library_of_others_takes_the_signature():
    message = Webhook(secret_text(NEW)).verify(BODY, signed(NEW))
    assert message["data"] == {"caller_name": "Jürgen"}


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_while_a_secret_is_changed_both_are_taken(secret):
    assert Webhook(secret_text(secret)).verify(BODY, signed(NEW, OLD))["type"] == "call.ended"


def test_another_secret_another_body_and_an_old_message_are_refused():
    for secret, head, body in (
        (OLD, signed(NEW), BODY),
        (NEW, signed(NEW), BODY + b" "),
        (NEW, signed(NEW, at_s=int(time.time()) - 3600), BODY),
        (NEW, signed(NEW) | {"webhook-id": "msg_2"}, BODY),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret_text(secret)).verify(body, head)


def test_the_example_of_the_specification():
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    head = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [secret])
    assert head == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
