"""Handing out is one statement: who asks is locked, an item is found and locked, the lease made.

Functions, because a function is planned once a connection, and because each statement in it sees
what was committed while the one before it waited: a single large query would not.
"""

# ruff: noqa: S608 -- the statements are put together from constants of this module only

from django.db import migrations

# Five probes, each of them bounded or indexed; the first row wins. An ordered scan that skips
# one's own items is quadratic for a labeler who works alone, hence the random starting points.
# Started items first, through a window, so that few items lie about half judged. An expired lease
# may be taken up again by the same person; any other state was an answer. NO KEY: a row that
# refers to the item may be added meanwhile.
UNSEEN = """NOT EXISTS (
    SELECT 1 FROM annotation_assignment a
    WHERE a.item_id = i.id AND a.annotator_id = me AND a.occasion = 'main'
      AND a.state <> 'expired')"""
LOCK_OPEN_ITEM = f"""
CREATE FUNCTION annotation_lock_open_item(in_project bigint, me bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  start integer := floor(random() * 1000000);
  top integer;
  picked bigint;
BEGIN
  SELECT i.id INTO picked FROM (
    SELECT id FROM annotation_item
    WHERE project_id = in_project AND is_open AND started AND rnd >= start
    ORDER BY rnd LIMIT 24
  ) nearby JOIN annotation_item i USING (id)
  WHERE i.is_open AND {UNSEEN}
  LIMIT 1 FOR NO KEY UPDATE OF i SKIP LOCKED;
  IF picked IS NOT NULL THEN RETURN picked; END IF;

  SELECT priority INTO top FROM annotation_item
  WHERE project_id = in_project AND is_open AND NOT started
  ORDER BY priority DESC LIMIT 1;
  IF FOUND THEN
    SELECT i.id INTO picked FROM annotation_item i
    WHERE i.project_id = in_project AND i.is_open AND NOT i.started
      AND i.priority = top AND i.rnd >= start AND {UNSEEN}
    ORDER BY i.rnd LIMIT 1 FOR NO KEY UPDATE OF i SKIP LOCKED;
    IF picked IS NOT NULL THEN RETURN picked; END IF;

    SELECT i.id INTO picked FROM annotation_item i
    WHERE i.project_id = in_project AND i.is_open AND NOT i.started AND {UNSEEN}
    ORDER BY i.priority DESC, i.rnd LIMIT 1 FOR NO KEY UPDATE OF i SKIP LOCKED;
    IF picked IS NOT NULL THEN RETURN picked; END IF;
  END IF;

  -- Only at the tail of a project does a claim come this far.
  SELECT i.id INTO picked FROM annotation_item i
  WHERE i.project_id = in_project AND i.is_open AND i.started AND {UNSEEN}
  LIMIT 1 FOR NO KEY UPDATE OF i SKIP LOCKED;
  IF picked IS NOT NULL THEN RETURN picked; END IF;

  -- What is left is in others' hands this very moment: wait, and see what they leave.
  SELECT i.id INTO picked FROM annotation_item i
  WHERE i.project_id = in_project AND i.is_open AND {UNSEEN}
  LIMIT 1 FOR NO KEY UPDATE OF i;
  RETURN picked;
END $$;
"""

# Everybody meets the same gold in the same order, each once, and never what they judged before
# it became gold. Held items were found wanting by others; closed ones serve as gold all the same.
NEXT_GOLD = """
CREATE FUNCTION annotation_next_gold(in_project bigint, me bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
  SELECT i.id FROM annotation_item i
  WHERE i.project_id = in_project AND i.is_gold AND i.held_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM annotation_assignment a
    WHERE a.item_id = i.id AND a.annotator_id = me AND a.state <> 'expired')
  ORDER BY i.rnd, i.id LIMIT 1);
END $$;
"""

# One's own answer from long enough ago to be forgotten: twenty others since, or an hour. Each
# is asked again once, and only the newest are looked at, so that the cost never grows.
NEXT_PROBE = """
CREATE FUNCTION annotation_next_probe(in_project bigint, me bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
  SELECT old.item_id FROM (
    SELECT a.item_id, a.finished_at, row_number() OVER (ORDER BY a.finished_at DESC) AS ago FROM (
      SELECT item_id, finished_at FROM annotation_assignment
      WHERE annotator_id = me AND occasion = 'main' AND state = 'done' AND finished_at IS NOT NULL
      ORDER BY finished_at DESC LIMIT 220
    ) a
  ) old JOIN annotation_item i ON i.id = old.item_id
  WHERE (old.ago > 20 OR old.finished_at < clock_timestamp() - interval '1 hour')
    AND i.project_id = in_project AND i.held_at IS NULL AND NOT i.is_gold AND NOT EXISTS (
      SELECT 1 FROM annotation_assignment a
      WHERE a.item_id = i.id AND a.annotator_id = me AND a.occasion = 'probe 1'
        AND a.state <> 'expired')
  ORDER BY random() LIMIT 1);
END $$;
"""

LEASE = """
CREATE FUNCTION annotation_lease(
  the_item bigint, me bigint, the_occasion text, lease_end timestamptz, opened timestamptz
) RETURNS SETOF annotation_assignment LANGUAGE plpgsql AS $$
DECLARE
  shown smallint[];
BEGIN
  IF EXISTS (SELECT 1 FROM annotation_assignment
      WHERE item_id = the_item AND annotator_id = me AND occasion = the_occasion) THEN
    -- Theirs before, and run out: the same order is shown again.
    RETURN QUERY UPDATE annotation_assignment
      SET state = 'leased', lease_expires_at = lease_end, opened_at = opened
      WHERE item_id = the_item AND annotator_id = me AND occasion = the_occasion
        AND state = 'expired'
      RETURNING *;
    IF NOT FOUND THEN
      RAISE unique_violation USING MESSAGE = 'answered in this very moment';
    END IF;
    RETURN;
  END IF;
  IF the_occasion LIKE 'probe %' THEN
    SELECT ARRAY(SELECT a.shown_order[n] FROM generate_subscripts(a.shown_order, 1, true) n)
      INTO shown FROM annotation_assignment a
      WHERE a.item_id = the_item AND a.annotator_id = me AND a.occasion = 'main';
  ELSE
    shown := ARRAY(SELECT position FROM annotation_itemresponse
      WHERE item_id = the_item ORDER BY random());
  END IF;
  RETURN QUERY INSERT INTO annotation_assignment
      (item_id, annotator_id, occasion, shown_order, state, takes_slot, lease_expires_at,
       skip_reason, opened_at, created_at)
    VALUES (the_item, me, the_occasion, shown, 'leased', the_occasion = 'main', lease_end,
       '', opened, clock_timestamp())
    RETURNING *;
END $$;
"""

# `draw` says what is wanted: main, gold or probe. Where there is none of it, main; where there is
# no main work, nothing. `beside` names the leases that the caller shows already: with any, the
# new one is only held ready.
CLAIM = """
CREATE FUNCTION annotation_claim(
  in_project bigint, in_user bigint, beside bigint[], draw text,
  lease_seconds integer, ready_seconds integer
) RETURNS SETOF annotation_assignment LANGUAGE plpgsql AS $$
DECLARE
  me bigint;
  held bigint;
  main_item bigint;
  other_item bigint;
  is_ahead boolean := cardinality(beside) > 0;
  opened timestamptz;
  lease_end timestamptz;
BEGIN
  -- Two windows of one person come one after the other, so that both show the same item.
  SELECT id INTO me FROM annotation_annotator WHERE user_id = in_user FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE foreign_key_violation USING MESSAGE = 'this person is no annotator yet';
  END IF;
  opened := CASE WHEN NOT is_ahead THEN clock_timestamp() END;
  lease_end := clock_timestamp()
    + make_interval(secs => CASE WHEN is_ahead THEN ready_seconds ELSE lease_seconds END);

  SELECT a.id INTO held FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
  WHERE a.annotator_id = me AND a.finished_at IS NULL AND a.state = 'leased'
    AND a.occasion <> 'review' AND i.project_id = in_project AND a.id <> ALL (beside)
  ORDER BY a.opened_at NULLS LAST, a.id LIMIT 1;
  IF FOUND THEN
    RETURN QUERY UPDATE annotation_assignment a
      SET opened_at = coalesce(a.opened_at, opened),
          lease_expires_at = CASE WHEN a.opened_at IS NULL THEN lease_end
            ELSE clock_timestamp() + make_interval(secs => lease_seconds) END
      WHERE a.id = held AND a.state = 'leased' RETURNING a.*;
    IF NOT FOUND THEN
      RAISE unique_violation USING MESSAGE = 'answered in this very moment';
    END IF;
    RETURN;
  END IF;
  IF is_ahead AND 2 <= (
    SELECT count(*) FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
    WHERE a.annotator_id = me AND a.finished_at IS NULL AND a.state = 'leased'
      AND a.occasion <> 'review' AND i.project_id = in_project) THEN
    RETURN;
  END IF;

  main_item := annotation_lock_open_item(in_project, me);
  IF main_item IS NULL THEN RETURN; END IF;
  IF draw = 'gold' THEN
    other_item := annotation_next_gold(in_project, me);
  ELSIF draw = 'probe 1' THEN
    other_item := annotation_next_probe(in_project, me);
  END IF;
  RETURN QUERY SELECT * FROM annotation_lease(
    coalesce(other_item, main_item), me,
    CASE WHEN other_item IS NULL THEN 'main' ELSE draw END, lease_end, opened);
END $$;
"""
BACKWARD = """
DROP FUNCTION annotation_claim(bigint, bigint, bigint[], text, integer, integer);
DROP FUNCTION annotation_lease(bigint, bigint, text, timestamptz, timestamptz);
DROP FUNCTION annotation_next_probe(bigint, bigint);
DROP FUNCTION annotation_next_gold(bigint, bigint);
DROP FUNCTION annotation_lock_open_item(bigint, bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0004_labeling_and_queue")]
    operations = [
        migrations.RunSQL(
            LOCK_OPEN_ITEM + NEXT_GOLD + NEXT_PROBE + LEASE + CLAIM,
            BACKWARD,
        )
    ]
