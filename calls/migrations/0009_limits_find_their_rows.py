"""Each limit finds the account or trunk that its text named; accounts and trunks get their counters.

In steps of a thousand rows, each a transaction of its own, so that nobody waits long. A limit whose
account or trunk had been renamed or deleted before counted nothing any more: it stays, disabled, and
says so.
"""

from django.db import migrations

AT_ONCE = 1_000


def name_counters(apps, schema_editor):
    alias = schema_editor.connection.alias
    for model, name in (("Account", "code"), ("Trunk", "name")):
        rows = apps.get_model("calls", model).objects.using(alias)
        while some := list(rows.filter(counter="").only("pk", name)[:AT_ONCE]):
            for row in some:
                row.counter = getattr(row, name)
            rows.bulk_update(some, ["counter"])


def find_rows(apps, schema_editor):
    alias = schema_editor.connection.alias
    accounts = apps.get_model("calls", "Account").objects.using(alias)
    trunks = apps.get_model("calls", "Trunk").objects.using(alias)
    for limit in apps.get_model("calls", "Limit").objects.using(alias):
        if limit.scope == "account":
            limit.account = accounts.filter(code=limit.target).first()
        elif limit.scope == "trunk":
            limit.trunk = trunks.filter(name=limit.target).first()
        elif limit.scope == "prefix":
            limit.prefix = limit.target
        if limit.scope in ("account", "trunk") and getattr(limit, limit.scope) is None:
            limit.enabled = False
            limit.note = (
                f"There was no {limit.scope} {limit.target!r} any more when limits began to refer "
                "to rows."
            )
        limit.save(using=alias)


def name_targets(apps, schema_editor):
    alias = schema_editor.connection.alias
    for limit in apps.get_model("calls", "Limit").objects.using(alias):
        if limit.account_id:
            limit.target = limit.account.code
        elif limit.trunk_id:
            limit.target = limit.trunk.name
        else:
            limit.target = limit.prefix
        limit.save(using=alias)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("calls", "0008_limits_refer_to_rows"),
    ]

    operations = [
        migrations.RunPython(name_counters, migrations.RunPython.noop),
        migrations.RunPython(find_rows, name_targets),
    ]
