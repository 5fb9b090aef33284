"""The words that somebody wrote into the trail may be erased; what was done, when and by whom not."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION core_keep_trail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE'
     AND to_jsonb(NEW) - 'detail' = to_jsonb(OLD) - 'detail'
     AND NEW.detail = OLD.detail - '{reason,note}'::text[] THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
DROP TRIGGER append_only ON core_auditevent;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON core_auditevent
  FOR EACH ROW EXECUTE FUNCTION core_keep_trail();
"""
BACKWARD = """
DROP TRIGGER append_only ON core_auditevent;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON core_auditevent
  FOR EACH ROW EXECUTE FUNCTION prefloop_append_only();
DROP FUNCTION core_keep_trail();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0004_session")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
