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
