"""The migration that lets limits refer to rows: none is lost, and none counts what it did not."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

BEFORE, AFTER = [("calls", "0007_alarms")], [("calls", "0010_limits_of_rows_only")]


@pytest.fixture
def before(transactional_db):
    """The models as they were."""
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    yield executor.loader.project_state(BEFORE).apps
    call_command("migrate", verbosity=0)


def migrate(to):
    executor = MigrationExecutor(connection)
    executor.migrate(to)
    return MigrationExecutor(connection).loader.project_state(to).apps


def test_each_limit_finds_its_row_and_one_that_counted_nothing_says_so(before):
    before.get_model("calls", "Account").objects.create(code="demo", name="Demo")
    before.get_model("calls", "Trunk").objects.create(name="carrier", dial_string="PJSIP/{number}")
    limits = before.get_model("calls", "Limit").objects
    for scope, target in (
        ("global", ""),
        ("account", "demo"),
        ("account", "renamed long ago"),
        ("trunk", "carrier"),
        ("prefix", "4490"),
    ):
        limits.create(scope=scope, target=target, metric="cps", value=5)
    after = migrate(AFTER)

    found = {
        (
            each.scope,
            each.account and each.account.code,
            each.trunk and each.trunk.name,
            each.prefix,
        )
        for each in after.get_model("calls", "Limit").objects.filter(enabled=True)
    }
    assert found == {
        ("global", None, None, ""),
        ("account", "demo", None, ""),
        ("trunk", None, "carrier", ""),
        ("prefix", None, None, "4490"),
    }
    orphan = after.get_model("calls", "Limit").objects.get(enabled=False)
    assert "There was no account 'renamed long ago' any more" in orphan.note
    assert after.get_model("calls", "Account").objects.get().counter == "demo"
    assert after.get_model("calls", "Trunk").objects.get().counter == "carrier"

    again = migrate(BEFORE)
    targets = set(again.get_model("calls", "Limit").objects.values_list("scope", "target"))
    assert {("account", "demo"), ("trunk", "carrier"), ("prefix", "4490")} <= targets
