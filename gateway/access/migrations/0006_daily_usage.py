from django.db import migrations


class Migration(migrations.Migration):
    """Rename the model in the code alone: its table keeps its name and its rows."""

    dependencies = [
        ("keys", "0005_rotated_at"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameModel(old_name="Spent", new_name="DailyUsage"),
                migrations.AlterModelTable(name="dailyusage", table="keys_spent"),
            ]
        ),
    ]
