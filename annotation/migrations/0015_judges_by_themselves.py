from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0014_draft_judges"),
    ]

    operations = [
        migrations.AddField(
            model_name="projectjudge",
            name="by_itself",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="projectjudge",
            name="looked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
