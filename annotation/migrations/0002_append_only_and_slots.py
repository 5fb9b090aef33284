"""Judgments and answers are never changed; an item's open slots follow its assignments."""

from django.db import migrations

APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON annotation_judgment
  FOR EACH ROW EXECUTE FUNCTION prefloop_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON annotation_answer
  FOR EACH ROW EXECUTE FUNCTION prefloop_append_only();
"""
APPEND_ONLY_BACKWARD = """
DROP TRIGGER append_only ON annotation_answer;
DROP TRIGGER append_only ON annotation_judgment;
"""
SLOTS = """
CREATE FUNCTION annotation_keep_slots() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  held integer := 0;
  holds integer := 0;
BEGIN
  IF TG_OP <> 'INSERT' AND OLD.takes_slot AND OLD.state IN ('leased', 'done') THEN held := 1; END IF;
  IF TG_OP <> 'DELETE' AND NEW.takes_slot AND NEW.state IN ('leased', 'done') THEN holds := 1; END IF;
  IF holds <> held THEN
    UPDATE annotation_item SET open_slots = open_slots + held - holds, started = true
      WHERE id = CASE WHEN TG_OP = 'DELETE' THEN OLD.item_id ELSE NEW.item_id END;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER keep_slots AFTER INSERT OR DELETE OR UPDATE OF state, takes_slot
  ON annotation_assignment FOR EACH ROW EXECUTE FUNCTION annotation_keep_slots();
"""
SLOTS_BACKWARD = """
DROP TRIGGER keep_slots ON annotation_assignment;
DROP FUNCTION annotation_keep_slots();
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0001_initial"), ("core", "0002_append_only_audit")]
    operations = [
        migrations.RunSQL(APPEND_ONLY, APPEND_ONLY_BACKWARD),
        migrations.RunSQL(SLOTS, SLOTS_BACKWARD),
    ]
