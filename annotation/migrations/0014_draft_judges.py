from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0013_judge_overrun"),
    ]

    operations = [
        migrations.AlterField(
            model_name="judge",
            name="origin",
            field=models.CharField(
                choices=[
                    ("configured", "Configured"),
                    ("imported", "Imported"),
                    ("draft", "Draft"),
                ],
                default="configured",
                max_length=10,
            ),
        ),
    ]
