"""A link for a new password is known by when it was made, so that it can be withdrawn."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0005_audit_words_may_go")]
    operations = [
        migrations.AddField(
            "user", "password_link_made_at", models.DateTimeField(blank=True, null=True)
        )
    ]
