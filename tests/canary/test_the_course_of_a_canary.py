"""A canary steps up, is taken over, or goes back by itself, and it is on record why."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from calls.canary.course import NotPossible, go_back, look, restore, take_over
from calls.canary.figures import samples
from calls.models import Canary, CanaryTarget, Change, RouteTarget
from cdr.models import Cdr
from cdr.record import Disposition
from tests.canary.conftest import hour_ago

pytestmark = pytest.mark.django_db


def trunks_of(route):
    return sorted(RouteTarget.objects.filter(route=route).values_list("trunk__name", flat=True))


def now(canary):
    return Canary.objects.get(pk=canary.pk)


def test_calls_are_counted_by_arm_with_what_their_callers_waited(canary, made):
    made("new", 4, answered=3, wait_ms=1_234)
    made("old", 9, answered=5, wait_ms=801)
    new, old = samples(canary.pk, canary.stage_at)

    assert (new.calls, new.answered, new.waits_ms, new.mos) == (4, 3, {1220: 3}, {4.2: 3})
    assert (old.calls, old.answered, old.waits_ms) == (9, 5, {800: 5})


def test_early_media_ends_the_wait_too(canary, made):
    made("new", 1, answered=1, wait_ms=3_000)
    Cdr.objects.update(progress_at=Cdr.objects.get().started_at)
    assert samples(canary.pk, canary.stage_at)[0].waits_ms == {0: 1}


def test_calls_of_an_earlier_share_or_that_a_limit_refused_do_not_count(canary, made):
    made("new", 2, answered=1, at_ms=hour_ago() - 60_000)
    made("old", 2, answered=0)
    Cdr.objects.filter(canary__endswith="old").update(disposition=Disposition.LIMITED.value)

    assert [each.calls for each in samples(canary.pk, canary.stage_at)] == [0, 0]


def test_one_that_answers_nothing_goes_back_by_itself(canary, route, made, caplog):
    made("new", 12, answered=0)
    made("old", 30, answered=24)
    (looked,) = look()

    assert looked.moved
    after = now(canary)
    assert (after.state, after.ended_by) == (Canary.State.WENT_BACK, "")
    assert "At 10 % of the calls the new trunks were worse: ASR 0 % of 12 calls" in after.why
    assert trunks_of(route) == ["old"]
    assert "went back by itself" in caplog.text


def test_why_it_went_back_is_in_the_audit_log(canary, made):
    made("new", 12, answered=0)
    made("old", 30, answered=24)
    look()

    change = Change.objects.filter(object_repr__startswith="canary").first()
    assert change.changes["state"] == ["running", "went back"]
    assert "ASR 0 % of 12 calls" in change.changes["why"][1]


def test_a_look_that_finds_nothing_is_no_change_and_tells_no_worker(
    canary, made, clean_redis, django_capture_on_commit_callbacks
):
    made("new", 12, answered=8)
    made("old", 30, answered=24)
    Change.objects.all().delete()
    with django_capture_on_commit_callbacks() as told:
        look()

    assert not told
    assert not Change.objects.exists()
    after = now(canary)
    assert (after.looks, after.judged_calls) == (1, 12)
    assert after.found["new"]["calls"] == 12
    assert after.found["said"] == "12 of 50 calls by the new trunks"


def test_nothing_more_to_see_spends_no_look(canary, made):
    made("new", 12, answered=8)
    made("old", 30, answered=24)
    look()
    look()

    assert now(canary).looks == 1


def test_it_steps_up_by_itself_and_compares_anew(canary, made):
    made("new", 60, answered=50)
    made("old", 90, answered=70)
    (looked,) = look()

    after = now(canary)
    assert looked.moved
    assert (after.share, after.judged_calls, after.found) == (50, 0, {})
    assert after.stage_at > canary.stage_at


def test_at_last_its_trunks_are_the_routes(canary, route, made):
    Canary.objects.update(share=50)
    made("new", 60, answered=50)
    made("old", 90, answered=70)
    look()

    after = now(canary)
    assert after.state == Canary.State.TAKEN_OVER
    assert trunks_of(route) == ["new"]
    assert [each["trunk"] for each in after.before] == ["old"]
    assert not CanaryTarget.objects.exists()


def test_without_leave_it_stays_at_its_share(canary, made):
    Canary.objects.update(steps_up=False)
    made("new", 60, answered=50)
    made("old", 90, answered=70)
    (looked,) = look()

    assert not looked.moved
    assert now(canary).share == 10


def test_it_ends_where_somebody_changes_the_routes_own_trunks(canary, route, made):
    RouteTarget.objects.update(priority=2)
    look()

    after = now(canary)
    assert after.state == Canary.State.WENT_BACK
    assert "own trunks were changed" in after.why


def test_one_that_was_taken_over_can_be_given_up(canary, route):
    take_over(canary, "By hand.", "alice")
    assert trunks_of(route) == ["new"]
    restore(now(canary), "bob")

    assert trunks_of(route) == ["old"]
    assert (now(canary).state, now(canary).ended_by) == (Canary.State.WENT_BACK, "bob")


def test_what_was_changed_meanwhile_is_not_overwritten(canary, route, trunks):
    take_over(canary, "By hand.", "alice")
    RouteTarget.objects.update(weight=7)
    with pytest.raises(NotPossible, match="were changed since"):
        restore(now(canary), "bob")
    assert trunks_of(route) == ["new"]


def test_what_has_ended_does_not_end_again(canary):
    go_back(canary, "By hand.", "alice")
    with pytest.raises(NotPossible, match="has ended"):
        take_over(canary, "By hand.", "bob")


def test_a_trunk_that_is_tried_cannot_be_deleted_and_one_that_was_can(canary, trunks):
    with pytest.raises(ProtectedError), transaction.atomic():
        trunks["new"].delete()
    go_back(canary, "By hand.", "alice")
    trunks["new"].delete()


def test_a_route_has_one_canary_at_a_time(canary, route):
    with pytest.raises(IntegrityError), transaction.atomic():
        Canary.objects.create(route=route, stage_at=canary.stage_at)
    go_back(canary, "By hand.", "alice")
    Canary.objects.create(route=route, stage_at=canary.stage_at)


def test_the_command_judges_at_once_and_says_how_it_is(canary, made):
    made("new", 12, answered=8)
    out = StringIO()
    call_command("watch_canaries", stdout=out)
    assert out.getvalue() == (
        f"canary {canary.pk} of route 49: 12 of 50 calls by the new trunks.\n"
    )
