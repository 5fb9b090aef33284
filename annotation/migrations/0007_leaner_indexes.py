"""Fewer indexes on what every hand-out writes.

Those that go are the beginning of another one each: of the unique ones, and of the history, in
which a live lease is found by its not being finished.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0006_item_held")]
    operations = [
        migrations.RemoveIndex(model_name="assignment", name="assignment_live"),
        migrations.AlterField(
            model_name="assignment",
            name="annotator",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="assignments",
                to="annotation.annotator",
            ),
        ),
        migrations.AlterField(
            model_name="assignment",
            name="item",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="assignments",
                to="annotation.item",
            ),
        ),
        migrations.AlterField(
            model_name="item",
            name="project",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="items",
                to="annotation.project",
            ),
        ),
    ]
