from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0010_ungradable_reasons"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="record",
            index=models.Index(fields=["image_sha256"], name="record_of_image"),
        ),
    ]
