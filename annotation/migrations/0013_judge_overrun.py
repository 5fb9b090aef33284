from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0012_judge_budget"),
    ]

    operations = [
        migrations.AddField(
            model_name="judgerun",
            name="overrun",
            field=models.DecimalField(decimal_places=8, default=0, max_digits=14),
        ),
        migrations.AddField(
            model_name="judgerun",
            name="resumed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
