"""Two indexes fewer for a hand-out to write: a lease has no judgment, and kinds are few."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0007_leaner_indexes")]
    operations = [
        migrations.RemoveIndex(model_name="item", name="item_kind"),
        migrations.AlterField(
            model_name="assignment",
            name="current",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="annotation.judgment",
            ),
        ),
        migrations.AddConstraint(
            model_name="assignment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("current__isnull", False)),
                fields=("current",),
                name="assignment_current_unique",
            ),
        ),
    ]
