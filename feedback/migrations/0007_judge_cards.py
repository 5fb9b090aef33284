"""What is measured of judges, what a project asks of them, and whether each may count."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import feedback.models.judge

SHARE = [
    django.core.validators.MinValueValidator(0.0),
    django.core.validators.MaxValueValidator(1.0),
]
MEASURED = [
    ("flips", "The flip rate"),
    ("parse_errors", "Parse errors"),
    ("injection", "Injected answers"),
]


def key() -> models.BigAutoField:
    return models.BigAutoField(
        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
    )


def link(to: str, name: str) -> models.ForeignKey:
    return models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name=name, to=to)


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0011_judge_calls"),
        ("feedback", "0006_demonstrations_export"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="JudgeReport",
            fields=[
                ("id", key()),
                ("figures", models.JSONField()),
                ("verdicts", models.PositiveIntegerField()),
                ("judgments", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("judge", link("annotation.judge", "reports")),
                ("project", link("annotation.project", "judge_reports")),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [
                    models.Index(fields=["project", "judge", "-id"], name="judge_report_newest")
                ],
            },
        ),
        migrations.CreateModel(
            name="JudgeGate",
            fields=[
                ("id", key()),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "min_items",
                    models.PositiveIntegerField(
                        default=50, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                ("margin", models.FloatField(default=0.05, validators=SHARE)),
                (
                    "max_flips",
                    models.FloatField(blank=True, default=0.25, null=True, validators=SHARE),
                ),
                (
                    "max_parse_errors",
                    models.FloatField(blank=True, default=0.05, null=True, validators=SHARE),
                ),
                (
                    "max_injection",
                    models.FloatField(blank=True, default=0.1, null=True, validators=SHARE),
                ),
                (
                    "must_measure",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(choices=MEASURED, max_length=20),
                        blank=True,
                        default=feedback.models.judge.all_measured,
                        size=None,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("project", link("annotation.project", "judge_gates")),
            ],
            options={
                "ordering": ["project", "-version"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "version"), name="judge_gate_version_unique"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="JudgeStanding",
            fields=[
                ("id", key()),
                ("is_open", models.BooleanField()),
                ("reasons", models.JSONField(default=list)),
                ("is_newest", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("gate", link("feedback.judgegate", "standings")),
                ("judge", link("annotation.judge", "standings")),
                ("project", link("annotation.project", "judge_standings")),
                ("report", link("feedback.judgereport", "standings")),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("is_newest", True)),
                        fields=("project", "judge"),
                        name="judge_standing_newest_unique",
                    )
                ],
            },
        ),
    ]
