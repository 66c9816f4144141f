from typing import Any

from django.db import migrations


def of_their_keys_organisations(apps: Any, editor: Any) -> None:
    """Set the organisation of each record that has none to that of its key."""
    records = apps.get_model("usage", "Record").objects
    for key in apps.get_model("keys", "ApiKey").objects.all():
        records.filter(key_id=key.id, organisation=None).update(organisation=key.organisation)


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0002_seals_events_and_tallies"),
        ("keys", "0004_every_key_has_an_organisation"),
    ]

    operations = [
        migrations.RunPython(of_their_keys_organisations, migrations.RunPython.noop),
    ]
