from django.db import migrations


class Migration(migrations.Migration):
    """Rename the model in the code alone: its table keeps its name and its rows."""

    dependencies = [
        ("proxy", "0002_writeprobe"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameModel(old_name="Claim", new_name="IdempotentRequest"),
                migrations.AlterModelTable(name="idempotentrequest", table="proxy_claim"),
            ]
        ),
    ]
