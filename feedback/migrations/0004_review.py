"""What waits for a reviewer and why, and all that a reviewer's word rests on."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

# Contested items of before wait from the start; resolving anew measures them exactly.
CARRY_OVER = """
UPDATE feedback_adjudication SET verdict = 'excluded' WHERE exclude;
UPDATE feedback_preference SET cause = 'split', disagreement = 1 - coalesce(agreement, 0.5)
  WHERE is_newest AND state = 'contested';
"""
CARRY_BACK = "UPDATE feedback_adjudication SET exclude = true WHERE verdict = 'excluded';"
# Who decided, and what they wrote freely, can be forgotten; what was decided cannot.
APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OF
  item_id, criterion, verdict, blind_id, strength, both_bad, ranks, acceptable_to, thumb,
  seen_judgments, named, created_at
  ON feedback_adjudication FOR EACH ROW EXECUTE FUNCTION prefloop_append_only();
"""
NO_LONGER = "DROP TRIGGER append_only ON feedback_adjudication;"


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0003_note_stale_items"),
        ("annotation", "0004_labeling_and_queue"),
        ("core", "0002_append_only_audit"),
    ]
    operations = [
        migrations.AddField(
            "adjudication",
            "verdict",
            models.CharField(
                choices=[
                    ("decided", "Decided"),
                    ("excluded", "Excluded"),
                    ("sent back", "Sent Back"),
                    ("withdrawn", "Withdrawn"),
                ],
                default="decided",
                max_length=10,
            ),
        ),
        migrations.AddField(
            "adjudication",
            "blind",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="annotation.judgment",
            ),
        ),
        migrations.AddField(
            "adjudication", "acceptable_to", models.PositiveSmallIntegerField(null=True)
        ),
        migrations.AddField(
            "adjudication",
            "seen_judgments",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), default=list, size=None
            ),
        ),
        migrations.AddField("adjudication", "named", models.BooleanField(default=False)),
        migrations.AddField(
            "preference",
            "cause",
            models.CharField(
                blank=True,
                choices=[
                    ("even", "A dead heat"),
                    ("split", "Too little agreement"),
                    ("judges", "Judges against people"),
                ],
                db_default="",
                max_length=6,
            ),
        ),
        migrations.AddField("preference", "disagreement", models.FloatField(null=True)),
        migrations.RunSQL(CARRY_OVER, CARRY_BACK),
        migrations.RemoveField("adjudication", "exclude"),
        migrations.AddIndex(
            "preference",
            models.Index(
                condition=models.Q(("is_newest", True)) & ~models.Q(("cause", "")),
                fields=["item"],
                name="preference_for_review",
            ),
        ),
        migrations.RunSQL(APPEND_ONLY, NO_LONGER),
    ]
