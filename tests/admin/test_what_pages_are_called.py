"""The top of a page: in the menu's words, and rows by their names as they are written."""

import pytest

from calls.models import Trunk, WebhookEndpoint
from project.templatetags.ringmaster_titles import in_the_menus_words

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("/admin/axes/accessattempt/", "Locks"),
        ("/admin/axes/accesslog/", "Sign-ins"),
        ("/admin/calls/block/", "Blocklist"),
        ("/admin/calls/webhookendpoint/", "Webhooks"),
    ],
)
def test_a_page_is_called_what_the_menu_calls_it(admin_client, address, title):
    page = admin_client.get(address).content.decode()
    assert f'<a href="{address}" title="{title}"' in page
    # "Webhooks" stand under Access in the menu, and not under the Django app that has them.
    assert 'href="/admin/calls/" title=' not in page


def test_a_row_keeps_its_small_letter(admin_client):
    trunk = Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")
    page = admin_client.get(f"/admin/calls/trunk/{trunk.pk}/change/").content.decode()
    assert 'title="carrier-a"' in page
    assert 'title="Carrier-a"' not in page


def test_what_is_in_no_menu_begins_with_a_capital():
    assert in_the_menus_words({"title": "password change"}) == "Password change"


def test_the_audit_log_tells_a_change_in_words_and_without_what_nothing_became(admin_client):
    WebhookEndpoint.objects.create(name="crm", url="https://crm.example/", events="call.ended")
    page = admin_client.get("/admin/calls/change/")
    row = page.context["cl"].result_list[0]
    page = admin_client.get(f"/admin/calls/change/{row.pk}/change/").content.decode()
    assert "create webhook" in page
    assert "(&#x27;create&#x27;" not in page
    assert "name: nothing → crm" in page
    assert "nothing → nothing" not in page


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("calls/alarm", "No account has jumped."),
        ("axes/accessattempt", "Nobody is locked out."),
        ("calls/webhookdelivery", "No delivery yet."),
    ],
)
def test_a_list_that_was_not_narrowed_down_says_what_its_emptiness_means(
    admin_client, model, words
):
    page = admin_client.get(f"/admin/{model}/").content.decode()
    assert words in page
    assert "Nothing here is like that." not in page
