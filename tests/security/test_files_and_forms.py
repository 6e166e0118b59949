"""What a person can send to the admin: a file of routes, a form, an address."""

import re

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from calls.models import Account, Block, Route, RouteTarget, Trunk
from calls.store import config_version
from tests.security.inputs import hostile

pytestmark = pytest.mark.django_db

IMPORT = "/admin/calls/route/import/"
MODELS = {"trunk": Trunk, "account": Account, "block": Block, "route": Route}
GOOD = {
    "trunk": {"name": "t", "dial_string": "PJSIP/{number}@t", "caller_id_policy": "account"},
    "account": {"code": "acme", "name": "Acme", "country_code": "49"},
    "block": {"side": "callee", "prefix": "4930"},
    "route": {"prefix": "4930", "action": "block"},
}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr(config_version, "bump", lambda: True)


@pytest.fixture
def trunk():
    return Trunk.objects.create(name="carrier-a", dial_string="PJSIP/{number}@carrier-a")


def import_file(client, text):
    file = SimpleUploadedFile("routes.csv", text.encode("utf-8", "surrogatepass"), "text/csv")
    page = client.post(IMPORT, {"file": file})
    carried = re.search(r'name="carried" value="([^"]+)"', page.content.decode())
    return client.post(IMPORT, {"carried": carried[1]}, follow=True) if carried else page


def test_what_is_right_is_imported_in_the_same_way(admin_client, trunk):
    good = "prefix,account,action,targets\n4930,,route,carrier-a:1:100\n"

    assert import_file(admin_client, good).status_code == 200
    assert Route.objects.count() == 1


@pytest.mark.parametrize("text", hostile("csv_files"))
def test_no_such_file_adds_a_route(admin_client, trunk, text):
    answer = import_file(admin_client, text)

    assert answer.status_code in (200, 400)
    assert not Route.objects.exists()
    assert not RouteTarget.objects.exists()


def add(client, model, **changes):
    """Send the form for a new row, as it comes but for these fields."""
    address = reverse(f"admin:calls_{model}_add")
    form = client.get(address).context["adminform"].form
    fields = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    fields |= GOOD[model] | changes
    if model == "route":
        fields |= {"targets-TOTAL_FORMS": "0", "targets-INITIAL_FORMS": "0"}
    fields = {name: value for name, value in fields.items() if value is not None}
    return client.post(
        address, {name: value for name, value in fields.items() if value is not False}
    )


@pytest.mark.parametrize("model", MODELS)
def test_what_is_right_is_saved_in_the_same_way(admin_client, model):
    assert add(admin_client, model).status_code == 302
    assert MODELS[model].objects.count() == 1


@pytest.mark.parametrize("sent", hostile("admin_forms"), ids=lambda sent: str(sent)[:60])
def test_no_such_value_is_saved(admin_client, sent):
    answer = add(admin_client, sent["model"], **{sent["field"]: sent["value"]})

    assert not MODELS[sent["model"]].objects.exists()
    if answer.status_code == 400:
        assert answer.content.decode().endswith(".\n")
    else:
        assert answer.context["adminform"].form.errors, "refused for no reason that is shown"


@pytest.mark.parametrize("sent", hostile("admin_forms"), ids=lambda sent: str(sent)[:60])
def test_no_such_value_is_taken_by_the_model_itself(sent):
    """For commands, imports and whatever else comes later."""
    values = GOOD[sent["model"]] | {sent["field"]: sent["value"]}
    with pytest.raises(ValidationError):
        MODELS[sent["model"]](**values).full_clean()


@pytest.mark.parametrize("address", hostile("urls"), ids=lambda address: address[:60])
def test_no_such_address_is_a_server_error_or_a_way_out(admin_client, clean_redis, address):
    answer = admin_client.get(address)

    assert answer.status_code < 500
    where = answer.headers.get("Location", "/")
    assert where.startswith("/")
    assert not where.startswith(("//", "/\\"))
    if answer.status_code == 200 and not answer.streaming:
        assert b"SECRET_KEY" not in answer.content
        assert b"root:x:" not in answer.content
