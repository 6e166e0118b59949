"""Whoever writes to Redis takes neither admin nor API nor metrics away, and runs no script there.

Redis' own user has a password (tests/security/test_redis_has_one_user_with_a_password.py); what an
older version, a bug or an intruder leaves in it is told as far as it can be, and no more.
"""

import orjson
import pytest
from django.contrib.auth.models import User
from msgspec.structs import replace

from calls.clock import wall_clock_ms
from calls.models import Account, ApiToken, Limit, Trunk
from calls.models.tokens import SCOPES
from tests.api.conftest import Program
from tests.lab import live

SCRIPT = '"><script>alert(1)</script>'
PAGES = (
    "/admin/",
    "/admin/dashboard/",
    "/admin/calls/live/",
    "/admin/calls/story/?q=x@y",
    "/admin/calls/story/pbx1:1/",
    "/admin/calls/story/pbx1:1.json",
    "/admin/calls/ledger/",
    "/admin/calls/drain/",
    "/admin/calls/drain/add/",
    "/admin/calls/limit/",
    "/admin/calls/trunk/",
    "/metrics",
    "/health/ready/switch",
)
ASKED = ("calls", "calls/pbx1:1", "traces/pbx1:1")
FAR = 10**17
"""Milliseconds, in a year that no calendar has."""
TEXTS = {
    "rubbish": b"\xff\xfe\x00rubbish",
    "script": SCRIPT.encode(),
    "null": b"null",
    "list": b"[]",
    "object": b"{}",
    "number": b"1e400",
    "far": orjson.dumps(
        {
            "at_ms": FAR,
            "green": False,
            "sentence": SCRIPT,
            "took_ms": FAR,
            "started_ms": FAR,
            "note": SCRIPT,
            "by": SCRIPT,
            "why": SCRIPT,
            "since_ms": FAR,
        }
    ),
    "negative": orjson.dumps(
        {"at_ms": -FAR, "green": True, "sentence": "", "took_ms": -1, "started_ms": -FAR, "note": 0}
    ),
    "other types": orjson.dumps(
        {"at_ms": [], "green": 1, "sentence": {}, "took_ms": "x", "started_ms": None, "note": 7}
    ),
}
KEYS = {
    "string": (
        "ringmaster:ledger:light",
        "ringmaster:mark",
        "ringmaster:config_version",
        "ringmaster:clock",
        "ringmaster:process:calls:host:7",
        "ringmaster:process:bridge:host:8",
        "ringmaster:process:webhooks:x",
        "ringmaster:drain:worker:host:7",
        "ringmaster:listener:pbx1",
        "ringmaster:limit:keeper:c",
    ),
    "hash": (
        "ringmaster:trunk:states",
        "ringmaster:limit:refused",
        "ringmaster:limit:would",
        "ringmaster:rejected:total",
        "ringmaster:call:pbx1:1",
        "ringmaster:metrics:calls:host:7",
        "ringmaster:cdrs:recent:1",
    ),
    "zset": ("ringmaster:attend", "ringmaster:limit:concurrent:trunk:a"),
    "list": ("ringmaster:mail:pbx1:1", "ringmaster:journal:pbx1:1", "ringmaster:sip:pbx1:1"),
    "stream": (
        "ringmaster:cdrs",
        "ringmaster:cdrs:rejected",
        "ringmaster:rejected",
        "ringmaster:traces",
    ),
}


@pytest.fixture
def redis(clean_redis, db):
    trunk = Trunk.objects.create(name="a", dial_string="PJSIP/{number}@a", max_calls=5)
    account = Account.objects.create(code="demo", name="Demo")
    Limit.objects.create(scope="account", account=account, metric="minutes", value=5, window="day")
    Limit.objects.create(scope="trunk", trunk=trunk, metric="concurrent", value=5)
    return clean_redis


@pytest.fixture
def look(client, redis, token_of_root):
    """Asks every page; what is a fault, or shows script."""
    client.raise_request_exception = False
    client.force_login(User.objects.get(username="root"))
    ask = Program(token_of_root)
    ask._client.raise_request_exception = False

    def look():
        wrong = []
        for path in (*PAGES, *ASKED):
            answer = client.get(path) if path.startswith("/") else ask("get", path)
            text = b"" if answer.streaming else answer.content
            if answer.status_code not in (200, 404, 503) or b"Traceback" in text:
                wrong.append(f"{path}: {answer.status_code}")
            if b"<script>alert" in text and b"html" in answer["Content-Type"].encode():
                wrong.append(f"{path}: script")
        return wrong

    return look


@pytest.fixture
def token_of_root(db):
    root = User.objects.create_superuser("root")
    token = ApiToken(name="x", user=root, scopes=" ".join(SCOPES))
    plain = token.new_secret()
    token.save()
    return plain


def put(redis, kind, key, text):
    match kind:
        case "string":
            redis.set(key, text)
        case "hash":
            names = ("session", "over", "kind", "0", "up", "a", "begun", "calls", b"\xff")
            redis.hset(key, mapping=dict.fromkeys(names, text))
        case "zset":
            redis.zadd(key, {text: 1, "pbx1:1": float("inf"), "pbx1:2": float("-inf"), "": 0})
        case "list":
            redis.rpush(key, text, text)
        case "stream":
            fields = ("record", "head", "journal", "kind", "call", "reason", "data", "sip")
            redis.xadd(key, dict.fromkeys(fields, text), id=f"{FAR * 10}-0")
            redis.xadd(key, {"x": text}, id=f"{FAR * 10}-1")


@pytest.mark.parametrize("name", TEXTS)
def test_what_no_key_should_hold_takes_no_page_away(redis, look, name):
    for kind, keys in KEYS.items():
        for key in keys:
            put(redis, kind, key, TEXTS[name])

    assert look() == []


@pytest.mark.parametrize("name", ["started_ms", "answered_ms", "ended_ms"])
@pytest.mark.parametrize("at_ms", [FAR, -FAR])
def test_a_live_call_of_another_age_of_the_world_takes_no_page_away(redis, look, name, at_ms):
    fine, strange = (live.session(n, now_ms=wall_clock_ms()) for n in (1, 2))
    live.put(redis, [fine, replace(strange, **{name: at_ms}, account=SCRIPT)])

    assert look() == []


@pytest.mark.parametrize("kind", ["string", "list", "hash"])
def test_keys_of_another_type_take_no_page_away(redis, look, kind):
    for other, keys in KEYS.items():
        for key in keys:
            if other != kind:
                put(redis, kind, key, b"x")

    assert look() == []
