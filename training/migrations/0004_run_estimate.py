from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0003_sweeps_and_recipes")]

    operations = [
        migrations.AddField(
            model_name="trainingrun",
            name="estimate",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
