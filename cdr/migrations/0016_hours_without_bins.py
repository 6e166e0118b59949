from django.db import migrations, models

from cdr.migrating import AddIndexBesideCalls


class Migration(migrations.Migration):
    """Finds the rows that the version before wrote, and writes while both are at work."""

    atomic = False

    dependencies = [
        ("cdr", "0015_bins_of_hours"),
    ]

    operations = [
        AddIndexBesideCalls(
            model_name="hourlycalls",
            index=models.Index(
                condition=models.Q(("pdd_0__isnull", True)),
                fields=["span", "-hour"],
                name="hourly_without_bins",
            ),
        ),
    ]
