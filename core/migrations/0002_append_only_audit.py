"""Rows of the audit trail are added and never changed. The function serves other tables too."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION prefloop_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON core_auditevent
  FOR EACH ROW EXECUTE FUNCTION prefloop_append_only();
"""
BACKWARD = """
DROP TRIGGER append_only ON core_auditevent;
DROP FUNCTION prefloop_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
