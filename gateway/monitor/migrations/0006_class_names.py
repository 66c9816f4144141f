from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("monitor", "0005_labels"),
    ]

    operations = [
        migrations.AddField(
            model_name="referenceprofile",
            name="class_names",
            field=models.JSONField(
                help_text="the least severe first; null where the ingress did not tell", null=True
            ),
        ),
    ]
