from django.db import migrations, models

from cdr.migrating import AddIndexBesideCalls


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("cdr", "0013_canary"),
    ]

    operations = [
        AddIndexBesideCalls(
            model_name="cdr",
            index=models.Index(
                condition=models.Q(("canary", ""), _negated=True),
                fields=["canary", "started_at"],
                name="cdr_canary_started",
            ),
        ),
    ]
