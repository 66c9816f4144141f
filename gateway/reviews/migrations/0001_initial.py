import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("usage", "0008_image_digest_and_software"),
    ]

    operations = [
        migrations.CreateModel(
            name="Missed",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "author",
                    models.CharField(help_text="key:<id> or user:<name>", max_length=200),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("replaced_at", models.DateTimeField(null=True)),
                ("label", models.CharField(max_length=200)),
                ("count", models.PositiveIntegerField(default=1)),
                (
                    "box",
                    models.JSONField(help_text="XYXY pixels of the upright image", null=True),
                ),
                (
                    "record",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="usage.record"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "missed",
                "indexes": [
                    models.Index(
                        condition=models.Q(("replaced_at__isnull", True)),
                        fields=["record"],
                        name="missed_now",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Verdict",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "author",
                    models.CharField(help_text="key:<id> or user:<name>", max_length=200),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("replaced_at", models.DateTimeField(null=True)),
                ("lesion", models.PositiveIntegerField(help_text="its id in the answer")),
                (
                    "label",
                    models.CharField(help_text="its class in the answer", max_length=200),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("accept", "Accept"),
                            ("reject", "reject: it is no lesion"),
                            ("relabel", "relabel: it is one of another class"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "new_label",
                    models.CharField(
                        blank=True, default="", help_text="of a relabel", max_length=200
                    ),
                ),
                (
                    "record",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="usage.record"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("replaced_at__isnull", True)),
                        fields=("record", "author", "lesion"),
                        name="one_verdict",
                    )
                ],
            },
        ),
    ]
