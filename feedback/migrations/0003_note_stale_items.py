"""A judgment makes its item stale, whoever wrote it: the resolver takes it from there."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION feedback_note_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO feedback_staleitem (item_id)
    SELECT DISTINCT item_id FROM new_rows
    WHERE occasion = 'main' AND current_id IS NOT NULL;
  RETURN NULL;
END $$;
CREATE FUNCTION feedback_note_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO feedback_staleitem (item_id)
    SELECT DISTINCT n.item_id FROM new_rows n JOIN old_rows o USING (id)
    WHERE n.occasion = 'main'
      AND (n.current_id IS DISTINCT FROM o.current_id
           OR n.state <> o.state AND 'done' IN (n.state, o.state));
  RETURN NULL;
END $$;
CREATE TRIGGER note_new AFTER INSERT ON annotation_assignment
  REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION feedback_note_new();
CREATE TRIGGER note_changed AFTER UPDATE ON annotation_assignment
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION feedback_note_changed();
"""
BACKWARD = """
DROP TRIGGER note_changed ON annotation_assignment;
DROP TRIGGER note_new ON annotation_assignment;
DROP FUNCTION feedback_note_changed();
DROP FUNCTION feedback_note_new();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0002_resolution"),
        ("annotation", "0002_append_only_and_slots"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
