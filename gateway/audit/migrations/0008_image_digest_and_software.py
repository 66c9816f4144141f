from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0007_source"),
    ]

    operations = [
        migrations.AddField(
            model_name="record",
            name="image_sha256",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="record",
            name="model_score_threshold",
            field=models.FloatField(help_text="the model's own", null=True),
        ),
        migrations.AddField(
            model_name="record",
            name="model_software",
            field=models.JSONField(help_text="versions, by the package's name", null=True),
        ),
    ]
