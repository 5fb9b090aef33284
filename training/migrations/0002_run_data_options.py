from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="trainingrun",
            name="data_options",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
