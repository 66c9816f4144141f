from typing import Any

from django.db import migrations


def into_the_default_organisation(apps: Any, editor: Any) -> None:
    """Put each key that has no organisation into the default one."""
    orphans = apps.get_model("keys", "ApiKey").objects.filter(organisation=None)
    if orphans.exists():
        default, _ = apps.get_model("people", "Organisation").objects.get_or_create(name="default")
        orphans.update(organisation=default)


class Migration(migrations.Migration):
    dependencies = [("keys", "0002_organisations_and_scopes")]

    operations = [
        migrations.RunPython(into_the_default_organisation, migrations.RunPython.noop),
    ]
