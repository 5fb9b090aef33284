"""Plans of the hand-out that neither change with its arguments nor with who came before.

Three things that the planner got wrong. It planned some of the statements anew at each call, for
the sake of the starting point (a third of a hand-out's time). Where most people have one answer,
it took that for everybody, and read all of a busy labeler's instead of asking for one item: four
times as slow after 20,000 answers. And where there is no work it read all items to find none.
"""

# ruff: noqa: S608 -- the statements are put together from constants of the migrations only

from importlib import import_module

from django.db import migrations

claim = import_module("annotation.migrations.0005_claim")

BEFORE = claim.LOCK_OPEN_ITEM + claim.NEXT_GOLD + claim.NEXT_PROBE
# A subquery with an offset is never joined: it is asked for the item at hand, by the unique index.
OF_ONE_ITEM = ("a.state <> 'expired')", "a.state <> 'expired' OFFSET 0)")
# Both have an index, which what is merely open has not. Fresh ones first, in a query of their own:
# one that another begins while this waits for it is still open, and is taken.
WAIT = f"""SELECT i.id INTO picked FROM annotation_item i
  WHERE i.project_id = in_project AND i.is_open AND {claim.UNSEEN}
  LIMIT 1 FOR NO KEY UPDATE OF i;
  RETURN picked;"""
WAIT_IN_TURN = f"""SELECT i.id INTO picked FROM (
    SELECT id FROM annotation_item
    WHERE project_id = in_project AND is_open AND NOT started
    ORDER BY priority DESC, rnd OFFSET 0
  ) fresh JOIN annotation_item i USING (id)
  WHERE i.is_open AND {claim.UNSEEN}
  LIMIT 1 FOR NO KEY UPDATE OF i;
  IF picked IS NOT NULL THEN RETURN picked; END IF;
  SELECT i.id INTO picked FROM annotation_item i
  WHERE i.project_id = in_project AND i.is_open AND i.started AND {claim.UNSEEN}
  LIMIT 1 FOR NO KEY UPDATE OF i;
  RETURN picked;"""
SIGNATURE = "annotation_claim(bigint, bigint, bigint[], text, integer, integer)"


def replacing(functions: str) -> str:
    return functions.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


FORWARD = f"""
{replacing(BEFORE.replace(WAIT, WAIT_IN_TURN).replace(*OF_ONE_ITEM))}
ALTER FUNCTION {SIGNATURE} SET plan_cache_mode = force_generic_plan;
-- As many labelers as a large project has; those with a single answer do not matter.
ALTER TABLE annotation_assignment ALTER COLUMN annotator_id SET (n_distinct = 100);
ANALYZE annotation_assignment;
"""
BACKWARD = f"""
ALTER TABLE annotation_assignment ALTER COLUMN annotator_id RESET (n_distinct);
ANALYZE annotation_assignment;
ALTER FUNCTION {SIGNATURE} RESET plan_cache_mode;
{replacing(BEFORE)}
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0008_hand_outs_write_less")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
