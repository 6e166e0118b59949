"""A client generated from the schema by somebody else's generator, called against the server."""

import importlib
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from django.test import Client

from calls.models import Trunk
from tests.api.test_calls_and_records import record


@pytest.fixture(scope="module")
def client_package(tmp_path_factory):
    """The generated package, importable."""
    folder = tmp_path_factory.mktemp("generated")
    schema = folder / "openapi.json"
    schema.write_bytes(Client().get("/api/v1/openapi.json").content)
    # Its formatter costs seconds and says nothing of the schema.
    config = folder / "config.json"
    config.write_bytes(orjson.dumps({"post_hooks": [], "package_name_override": "ringmaster_api"}))
    generator = Path(sys.executable).with_name("openapi-python-client")
    done = subprocess.run(
        [
            *(generator, "generate", "--path", schema, "--config", config, "--meta", "none"),
            *("--output-path", folder / "ringmaster_api", "--fail-on-warning"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield importlib.import_module("ringmaster_api")
    sys.path.remove(str(folder))


@pytest.mark.django_db(transaction=True)
def test_it_reads_and_writes(client_package, live_server, clean_redis, token_for, roles):
    boss = roles
    record(1)
    called = importlib.import_module
    client = client_package.AuthenticatedClient(live_server.url, token_for(boss))
    with client:
        page = called("ringmaster_api.api.call_records.list_cdrs").sync(client=client)
        assert [each.call_id for each in page.cdrs] == ["pbx1:1.1"]
        assert page.cdrs[0].started_at.tzinfo is not None
        live = called("ringmaster_api.api.live_calls.list_live_calls").sync(client=client)
        assert live.total == 0
        models = called("ringmaster_api.models")
        trunks = "ringmaster_api.api.configuration"
        told = models.TrunkChange(name="a", dial_string="PJSIP/{number}@a", max_calls=7)
        made = called(f"{trunks}.create_trunk").sync(client=client, body=told)
        assert (made.name, made.ring_timeout_s) == ("a", 60)
        changed = called(f"{trunks}.change_trunk").sync(
            "a", client=client, body=models.TrunkChange(enabled=False)
        )
        assert (changed.enabled, changed.max_calls) == (False, 7)
        assert not Trunk.objects.get().enabled
        refused = called(f"{trunks}.create_trunk").sync(
            client=client, body=models.TrunkChange(name="b", dial_string="nonsense")
        )
        assert isinstance(refused, models.ProblemDocument)
        assert refused.errors[0].field == "dial_string"


@pytest.mark.django_db(transaction=True)
def test_it_reads_every_refusal(client_package, live_server, clean_redis, token_for, roles):
    called, models = importlib.import_module, importlib.import_module("ringmaster_api.models")
    records = called("ringmaster_api.api.call_records.list_cdrs")
    trunks = called("ringmaster_api.api.configuration.create_trunk")

    def refusal(answer):
        assert isinstance(answer, models.ProblemDocument), answer
        assert answer.detail
        return answer.status, answer.type_.rpartition(":")[2]

    with client_package.AuthenticatedClient(live_server.url, "rm_no_token") as client:
        assert refusal(records.sync(client=client)) == (401, "wrong-token")
    with client_package.AuthenticatedClient(
        live_server.url, token_for(roles, "cdrs:read")
    ) as client:
        told = models.TrunkChange(name="a")
        assert refusal(trunks.sync(client=client, body=told)) == (403, "no-scope")
        assert refusal(records.sync(client=client, limit=0)) == (422, "invalid")


@pytest.mark.django_db(transaction=True)
def test_it_makes_tests_and_deletes_a_webhook(
    client_package, live_server, clean_redis, token_for, roles
):
    def call(operation, *args, **told):
        module = importlib.import_module(f"ringmaster_api.api.webhooks.{operation}")
        return module.sync_detailed(*args, client=client, **told)

    models = importlib.import_module("ringmaster_api.models")
    with client_package.AuthenticatedClient(live_server.url, token_for(roles)) as client:
        told = models.WebhookChange(name="crm", url="https://crm.example/", events=["call.ended"])
        made = call("create_webhook", body=told).parsed
        assert made.secret.startswith("whsec_")
        renewed = call("renew_webhook_secret", made.id).parsed
        assert renewed.secret != made.secret
        sent = call("test_webhook", made.id).parsed
        found = call("list_webhook_deliveries", message_id=sent.message_id).parsed
        assert [each.event for each in found.rows] == ["webhook.test"]
        off = call("change_webhook", made.id, body=models.WebhookChange(enabled=False)).parsed
        assert (off.enabled, off.events) == (False, ["call.ended"])
        assert isinstance(call("test_webhook", made.id).parsed, models.ProblemDocument)
        private = models.WebhookChange(url="https://10.0.0.1/")
        refused = call("change_webhook", made.id, body=private).parsed
        assert refused.errors[0].field == "url"
        assert call("delete_webhook", made.id).status_code == 204
        assert call("list_webhooks").parsed.rows == []


@pytest.mark.django_db(transaction=True)
def test_it_drains_the_switch(client_package, live_server, clean_redis, token_for, roles):
    def call(operation, **told):
        module = importlib.import_module(f"ringmaster_api.api.drains.{operation}")
        return module.sync_detailed(client=client, **told)

    models = importlib.import_module("ringmaster_api.models")
    with client_package.AuthenticatedClient(live_server.url, token_for(roles)) as client:
        begun = call("drain_switch", body=models.DrainToBegin(why="move")).parsed
        assert (begun.kind, begun.why, str(begun.state)) == ("switch", "move", "empty")
        assert [each.kind for each in call("list_drains").parsed.rows] == ["switch"]
        assert call("end_drain_of_switch").status_code == 204
