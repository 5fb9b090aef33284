"""Held items are found without reading all the others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0005_claim")]

    operations = [
        migrations.AddIndex(
            model_name="item",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", True), ("held_at__isnull", False)),
                fields=["project", "held_at"],
                name="item_held",
            ),
        ),
    ]
