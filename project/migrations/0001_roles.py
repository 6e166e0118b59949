from django.db import migrations

from project.access.roles import make_groups


def make(apps, schema_editor):
    make_groups(apps.get_model("auth", "Group"))


class Migration(migrations.Migration):
    dependencies = [("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
