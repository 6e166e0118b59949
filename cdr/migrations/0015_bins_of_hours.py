from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns that may be null: the table is locked for a moment, and no row is written."""

    dependencies = [
        ("cdr", "0014_calls_of_a_canary"),
    ]

    operations = [
        *(
            migrations.AddField(
                model_name="hourlycalls",
                name=f"pdd_{number}",
                field=models.PositiveIntegerField(
                    null=True, verbose_name="calls in a bin of the PDD histogram"
                ),
            )
            for number in range(13)
        ),
        migrations.AlterField(
            model_name="hourlycalls",
            name="pdd",
            field=models.JSONField(
                help_text="Bins of cdr.rates.PDD_EDGES_MS, as 0.9.0 reads them; goes with the "
                "version after the next.",
                verbose_name="PDD histogram",
            ),
        ),
    ]
