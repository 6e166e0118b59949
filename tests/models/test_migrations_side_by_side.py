"""Migrations since the last release lock no large table, and leave the version before at work.

Rules and reasons: docs/upgrading.md. A migration that breaks one on purpose says why in its class:
``side_by_side = "…"``.
"""

import pytest
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import fields as field_operations
from django.db.migrations.state import ModelState, ProjectState

from cdr.migrating import AddIndexBesideCalls

RELEASED = {"calls": 12, "cdr": 12, "project": 1}
"""The last migrations of 0.9.0."""
GROWING = {"cdr", "cdrattempt", "calltrace", "beguncall"}
"""Models whose tables grow with every call."""
UNSEEN_BY_THE_DATABASE = {
    *("blank", "choices", "default", "editable", "error_messages", "help_text", "limit_choices_to"),
    *("related_name", "related_query_name", "validators", "verbose_name"),
}
HARMLESS = (
    migrations.CreateModel,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
    AddIndexBesideCalls,
)


def faults(migration, state):
    """Sentences on what is wrong with a migration that is applied to this state."""
    if getattr(migration, "side_by_side", ""):
        return []
    made = {each.name_lower for each in migration.operations if hasattr(each, "fields")}
    found = []
    for operation in migration.operations:
        if fault := _fault(operation, migration.app_label, state, made):
            found.append(f"{migration}: {operation.describe()}: {fault}")
        operation.state_forwards(migration.app_label, state)
    return found


def _fault(operation, app, state, made):
    if isinstance(operation, HARMLESS):
        return ""
    model = (
        getattr(operation, "model_name_lower", None) or getattr(operation, "model_name", "").lower()
    )
    if model in made:
        return ""
    if isinstance(operation, migrations.AddField):
        return _added(operation.field)
    if isinstance(operation, migrations.AlterField):
        before = state.models[app, model].fields[operation.name]
        return _altered(before, operation.field, model)
    if isinstance(operation, (migrations.AddIndex, migrations.RemoveIndex)):
        return (
            "locks a large table; use cdr.migrating.AddIndexBesideCalls" if model in GROWING else ""
        )
    if isinstance(operation, (migrations.AddConstraint, migrations.RemoveConstraint)):
        return (
            "locks a large table; add it NOT VALID by SQL, and validate it in the next one"
            if model in GROWING
            else ""
        )
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return next(
            filter(
                None, (_fault(each, app, state, made) for each in operation.database_operations)
            ),
            "",
        )
    return "may take away what the version before uses, or change many rows at once"


def _added(field):
    if field.many_to_many or field.null or field.db_default is not models.NOT_PROVIDED:
        return ""
    return "the version before inserts rows without it; give it null=True or a db_default"


def _altered(before, after, model):
    old, new = (_seen(field) for field in (before, after))
    grown = {
        name: old.pop(name, None) or 0 for name in ("max_length",) if new.get(name) is not None
    }
    longer = all((new.pop(name) or 0) >= length for name, length in grown.items())
    loosened = new.pop("null", False) or not old.get("null", False)
    old.pop("null", None)
    if old == new and longer and loosened and type(before) is type(after):
        return ""
    return f"changes a column of {model} under those who use it"


def _seen(field):
    options = field.deconstruct()[3]
    return {name: value for name, value in options.items() if name not in UNSEEN_BY_THE_DATABASE}


def new_migrations():
    loader = MigrationLoader(None, ignore_no_migrations=True)
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if app in RELEASED and int(name[:4]) > RELEASED[app]:
            yield loader, migration


def test_migrations_since_the_release_leave_the_version_before_at_work():
    wrong = [
        fault
        for loader, migration in new_migrations()
        for fault in faults(
            migration, loader.project_state([(migration.app_label, migration.name)], at_end=False)
        )
    ]
    assert wrong == []


CDR = ModelState(
    "cdr",
    "Cdr",
    [
        ("id", models.BigAutoField(primary_key=True)),
        ("callee", models.CharField(max_length=20)),
        ("note", models.CharField(max_length=20, null=True)),
    ],
)
TRUNK = ModelState("cdr", "Trunk", [("id", models.BigAutoField(primary_key=True))])
INDEX = models.Index(fields=["callee"], name="by_callee")


def judged(*operations):
    migration = migrations.Migration("0099_tried", "cdr")
    migration.operations = list(operations)
    state = ProjectState({("cdr", "cdr"): CDR.clone(), ("cdr", "trunk"): TRUNK.clone()})
    return faults(migration, state)


GOOD = {
    "null": migrations.AddField("cdr", "extra", models.IntegerField(null=True)),
    "db_default": migrations.AddField("cdr", "extra", models.IntegerField(db_default=0)),
    "longer": migrations.AlterField("cdr", "callee", models.CharField(max_length=40)),
    "words": migrations.AlterField("cdr", "callee", models.CharField("Callee", max_length=20)),
    "may be null": migrations.AlterField(
        "cdr",
        "callee",
        models.CharField(max_length=20, null=True),
    ),
    "beside the calls": AddIndexBesideCalls("cdr", INDEX),
    "a small table": migrations.AddIndex("trunk", models.Index(fields=["id"], name="small")),
    "a new table": migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))]),
}
BAD = {
    "an old worker inserts without it": migrations.AddField(
        "cdr", "x", models.IntegerField(default=0)
    ),
    "removed": migrations.RemoveField("cdr", "callee"),
    "renamed": migrations.RenameField("cdr", "callee", "called"),
    "the table renamed": migrations.RenameModel("Cdr", "Record"),
    "deleted": migrations.DeleteModel("Trunk"),
    "shorter": migrations.AlterField("cdr", "callee", models.CharField(max_length=10)),
    "another type": migrations.AlterField("cdr", "callee", models.IntegerField()),
    "no longer null": migrations.AlterField("cdr", "note", models.CharField(max_length=20)),
    "an index that locks": migrations.AddIndex("cdr", INDEX),
    "a constraint that locks": migrations.AddConstraint(
        "cdr", models.UniqueConstraint(fields=["callee"], name="one")
    ),
    "rows at once": migrations.RunPython(lambda apps, editor: None),
    "SQL that nobody looks at": migrations.RunSQL("LOCK TABLE cdr_cdr"),
}


@pytest.mark.parametrize("operation", GOOD.values(), ids=GOOD)
def test_what_hurts_nobody_passes(operation):
    assert judged(operation) == []


@pytest.mark.parametrize("operation", BAD.values(), ids=BAD)
def test_what_locks_or_takes_away_is_told(operation):
    (told,) = judged(operation)
    assert operation.describe() in told


def test_what_is_made_in_the_same_migration_nobody_uses_yet():
    note = migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))])
    assert judged(note, migrations.AddField("note", "x", models.IntegerField(default=0))) == []


def test_every_table_that_grows_is_known():
    loader = MigrationLoader(None, ignore_no_migrations=True)
    there = {model for app, model in loader.project_state().models if app == "cdr"}
    assert there >= GROWING


def test_a_field_operation_that_is_new_to_this_test_is_refused():
    class Twist(field_operations.FieldOperation):
        def state_forwards(self, app_label, state):
            pass

        def describe(self):
            return "Twist"

    assert len(judged(Twist("cdr", "callee"))) == 1


@pytest.mark.django_db(transaction=True)
def test_an_index_is_made_beside_the_calls_and_taken_away_again():
    index = models.Index(fields=["callee_sent"], name="beside_the_calls")
    operation = AddIndexBesideCalls("cdr", index)
    before = MigrationLoader(None, ignore_no_migrations=True).project_state()
    after = before.clone()
    operation.state_forwards("cdr", after)

    def names():
        with connection.cursor() as cursor:
            return connection.introspection.get_constraints(cursor, "cdr_cdr")

    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("cdr", editor, before, after)
    made = names()
    with connection.schema_editor(atomic=False) as editor:
        operation.database_backwards("cdr", editor, after, before)

    assert made["beside_the_calls"]["columns"] == ["callee_sent"]
    assert "beside_the_calls" not in names()
