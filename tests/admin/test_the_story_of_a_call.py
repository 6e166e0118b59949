"""The story's page, its JSON and its debugger, of calls that are over and calls that are up."""

from dataclasses import replace as replace_plan

import pytest
from django.contrib.auth.models import Permission, User
from msgspec.structs import replace

from calls import causes
from calls.clock import wall_clock_ms
from calls.machine.events import ChannelAnswered, ChannelRinging
from calls.routing.choice import Refusal
from calls.routing.steps import Mark, Step, Topic
from cdr.links import story_url
from cdr.models import CallTrace, Cdr
from cdr.record import Disposition
from cdr.trace import STREAM, TraceHead
from cdr.writer import store
from tests.cdr.made_up import attempt, record
from tests.lab import live
from tests.machine.world import CALL, A, b, entered, plan, rule, target
from tests.story.journals import Noting, answered, begun, over, refused_by_carrier
from tests.story.keeping import keep, keep_real_call, put_live

pytestmark = pytest.mark.django_db

PAGE = f"/admin/calls/story/{CALL}/"
JSON = f"/admin/calls/story/{CALL}.json"
TWO = plan(target("carrier-a"), target("carrier-b"))


def told(client, **query):
    answer = client.get(PAGE, query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_call_that_is_over_tells_its_story(admin_client):
    keep(answered())
    page = told(admin_client)

    assert (
        "Trunk carrier-a answered after 4.0 s; they talked 5.0 s, then the caller hung up." in page
    )
    assert "dial for 30 s" in page
    assert "route 33 (all): carrier-a" in page
    assert "This call is up" not in page


def test_a_call_that_another_version_decided_is_told_as_such(admin_client, monkeypatch):
    keep(answered())
    assert "Another version" not in told(admin_client)
    monkeypatch.setattr(causes, "NORMAL_CLEARING", 31)
    assert "Another version of Ringmaster decided this call." in told(admin_client)


def test_a_record_leads_to_its_story(admin_client):
    keep(answered())
    row = Cdr.objects.get(call_id=CALL)
    change = admin_client.get(f"/admin/cdr/cdr/{row.pk}/change/").content.decode()

    assert f'href="{story_url(CALL)}"' in change
    assert admin_client.get(story_url(CALL)).status_code == 200


def test_a_live_call_is_told_with_what_nobody_has_attended_to_yet(admin_client, clean_redis):
    world = begun()
    put_live(clean_redis, world, ChannelRinging(b(), world.now_ms + 50))
    page = told(admin_client)

    assert "This call is up" in page
    assert "rings (not attended to yet)" in page
    assert "Trunk carrier-a has rung for" in page


def test_a_call_that_no_worker_has_seen_yet_is_told(admin_client, clean_redis):
    put = Noting()
    clean_redis.delete(f"ringmaster:journal:{CALL}")
    from calls.machine.events import encode

    clean_redis.rpush(f"ringmaster:mail:{CALL}", encode(entered(put.now_ms)))

    assert "for its route." in told(admin_client)


def test_a_live_story_refreshes_by_a_fragment(admin_client, clean_redis):
    put_live(clean_redis, begun())
    answer = admin_client.get(PAGE, headers={"X-Fragment": "1"})

    assert answer.headers["X-Fragment"] == "1"
    assert "<html" not in answer.content.decode()
    assert "<svg" in answer.content.decode()


def test_a_call_that_has_just_ended_is_told_from_the_stream(admin_client, clean_redis):
    world = answered()
    clean_redis.hset(f"ringmaster:call:{CALL}", "over", 1)
    head = TraceHead(call_id=CALL, node="demo", account="", started_ms=1, failed=False)
    clean_redis.xadd(STREAM, {"head": b"nonsense", "journal": b""})
    clean_redis.xadd(STREAM, {"head": head.to_json(), "journal": world.journal})

    page = told(admin_client)

    assert "then the caller hung up." in page
    assert "on its way to the database" in page


def test_the_json_has_everything(admin_client):
    world = answered()
    keep(world)
    document = admin_client.get(JSON).json()

    assert document["call_id"] == CALL
    assert document["sentence"].startswith("Trunk carrier-a answered")
    assert document["lines"] == ["caller", "Asterisk", "Ringmaster", "carrier-a"]
    assert len(document["decisions"]) == len(world.course.decisions)
    assert document["decisions"][0]["event"][0] == "entered"
    assert document["session"]["phase"] == "over"


def test_why_it_went_so_is_for_those_who_may_see_what_decided(client, admin_client):
    steps = (Step(Topic.BLOCKLIST, "callee 4490 (all): premium", Mark.PASSED_OVER, "is disabled"),)
    keep(answered(found=replace_plan(plan(), steps=steps), rules=(rule("cps"),)))
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_cdr"))
    client.force_login(user)
    shown = {
        who: "".join(
            browser.get(address, query).content.decode()
            for address, query in ((PAGE, {"step": "2"}), (JSON, {}))
        )
        for who, browser in (("clerk", client), ("admin", admin_client))
    }

    for secret in ("callee 4490 (all): premium", "account acme: 3 cps"):
        assert shown["admin"].count(secret) >= 2, secret
        place = shown["clerk"].find(secret)
        assert place < 0, shown["clerk"][max(0, place - 300) : place + 60]
    assert "Trunk carrier-a answered after 4.0 s" in shown["clerk"]


def test_nothing_kept_is_said_with_what_keeps_it(admin_client, clean_redis):
    answer = admin_client.get(PAGE)

    assert answer.status_code == 404
    assert "TRACE_DAYS" in answer.content.decode()
    assert admin_client.get(JSON).status_code == 404


def test_with_redis_away_a_kept_call_is_still_told(admin_client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert admin_client.get(PAGE).status_code == 503
    assert admin_client.get(PAGE, headers={"X-Fragment": "1"}).status_code == 503
    keep(answered())

    assert "then the caller hung up." in told(admin_client)


def test_a_trace_that_cannot_be_read_is_said(admin_client):
    keep(answered())
    CallTrace.objects.update(journal=b"\xffnonsense")

    assert "cannot be read" in told(admin_client)


def test_stepping_shows_the_call_as_the_machine_had_it(admin_client):
    world = answered()
    keep(world)
    number = next(e.number for e in world.course.decisions if e.signal == "done add_to_bridge")
    answer = admin_client.get(PAGE, {"step": number})
    state = dict(answer.context["state"])

    assert state["phase"] == "dialling"
    assert state["pending"] == "dial for 30 s"
    assert (answer.context["before"], answer.context["after"]) == (number - 1, number + 1)


def test_a_fork_tells_what_would_have_followed(admin_client):
    world = answered(found=TWO)
    keep(world)
    number = next(each.number for each in world.course.decisions if each.signal == "b ringing")
    page = told(admin_client, step=number, what="503")

    assert "Trunk carrier-a answered 503 after" in page
    assert "carrier-b has been called" in page
    assert "Nothing was dialled, saved or counted" in page


@pytest.mark.parametrize(
    "query",
    [
        {"step": "nonsense"},
        {"step": "-1"},
        {"step": "99999"},
        {"step": "3", "what": "nonsense"},
        {"zoom": "99999999"},
        {"step": "1", "what": "503"},
    ],
)
def test_a_strange_address_breaks_nothing(admin_client, query):
    keep(answered())
    told(admin_client, **query)


def test_hostile_names_run_nowhere(admin_client):
    evil = '"><script>alert(1)</script>\x1b[31m'
    world = begun(found=plan(target(evil)))
    world.end(b(), 17, 486)
    keep(over(world), written=False)
    page = told(admin_client, step=2)

    assert "<script>alert(1)" not in page
    assert "\x1b" not in page


def test_a_refused_call_says_why_and_what_the_caller_heard(admin_client):
    keep(over(begun(found=Refusal(Disposition.NO_ROUTE, 1, "no route fits"))))

    assert "The call was refused (no route fits) and the caller heard 404." in told(admin_client)


def test_a_call_is_found_by_its_id_and_by_either_sip_call_id(admin_client):
    store([record("pbx1:7", sip_call_id="x@alice", attempts=(attempt(sip_call_id="y@bob"),))])
    find = "/admin/calls/story/"

    for asked in ("pbx1:7", "x@alice", "y@bob"):
        answer = admin_client.get(find, {"q": asked})
        assert answer.status_code == 302
        assert answer.url == "/admin/calls/story/pbx1%3A7/"
    assert "No call is recorded" in admin_client.get(find, {"q": "z@nobody"}).content.decode()
    assert admin_client.get(find).status_code == 200


def test_a_call_id_used_for_many_calls_lists_them(admin_client):
    store([record("pbx1:7", sip_call_id="x@a"), record("pbx1:8", sip_call_id="x@a")])
    page = admin_client.get("/admin/calls/story/", {"q": "x@a"}).content.decode()

    assert "2 calls have a leg" in page


def test_only_those_who_may_see_records_may_see_stories(client):
    user = User.objects.create_user("clerk", password=None, is_staff=True)
    client.force_login(user)
    keep(over(refused_by_carrier(17, 486)))

    for address in (PAGE, JSON, "/admin/calls/story/"):
        assert client.get(address).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_cdr"))
    assert client.get(PAGE).status_code == 200


def test_an_answer_nobody_attended_to_counts_in_the_sentence(admin_client, clean_redis):
    world = begun()
    put_live(
        clean_redis,
        world,
        ChannelAnswered(b(), world.now_ms + 50),
        ChannelAnswered(A, world.now_ms + 51),
    )

    assert "they have talked for" in told(admin_client)


def test_the_sip_of_a_call_can_be_taken_along(admin_client):
    address = story_url(keep_real_call()).removesuffix("/")
    text = admin_client.get(f"{address}.sip.txt").content.decode()
    capture = admin_client.get(f"{address}.pcap").content

    assert text.count("INVITE sip:49200@") == capture.count(b"INVITE sip:49200@") == 2
    assert admin_client.get(f"{address}.json").json()["sip"]


def test_a_call_without_sip_says_so(admin_client):
    keep(answered())
    address = story_url(CALL).removesuffix("/")

    assert "No SIP was traced" in admin_client.get(f"{address}.sip.txt").content.decode()


def test_a_call_that_is_up_is_found_by_its_sip_call_id(admin_client, clean_redis):
    now_ms = wall_clock_ms()
    live.put(clean_redis, [live.session(1, now_ms=now_ms)])
    call = replace(live.session(2, now_ms=now_ms), a_sip_call_id="x@up")
    live.put(clean_redis, [call])

    assert admin_client.get("/admin/calls/story/", {"q": "x@up"}).url == story_url(call.call_id)
