"""An independent recount: whether what the queue promises can be seen in the rows themselves.

Nothing here reads `open_slots` to compute what it ought to be. Run it while nobody writes, or
inside one repeatable-read transaction, else rows of different moments are compared.
"""

# ruff: noqa: S608 -- the statements are put together from constants of this module only

from __future__ import annotations

from django.db import connection

from annotation.models import Project

_ASSIGNED = """FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
  WHERE i.project_id = %(project)s"""
# What a violation is, and the rows that show it: an id and what is found there.
CHECKS = {
    "slots adrift": """
        SELECT i.id, format('%%s open of %%s, %%s taken', i.open_slots, i.overlap, count(a.id))
        FROM annotation_item i LEFT JOIN annotation_assignment a
          ON a.item_id = i.id AND a.takes_slot AND a.state IN ('leased', 'done')
        WHERE i.project_id = %(project)s
        GROUP BY i.id HAVING i.open_slots <> i.overlap - count(a.id)""",
    "over-assigned": """
        SELECT i.id, format('%%s counted of %%s', count(a.id), i.overlap)
        FROM annotation_item i JOIN annotation_assignment a ON a.item_id = i.id
        WHERE i.project_id = %(project)s AND a.occasion = 'main' AND a.takes_slot
          AND a.state IN ('leased', 'done')
        GROUP BY i.id HAVING count(a.id) > i.overlap""",
    "not in the queue, and has room": """
        SELECT i.id, format('%%s of %%s taken', count(a.id), i.overlap)
        FROM annotation_item i LEFT JOIN annotation_assignment a
          ON a.item_id = i.id AND a.takes_slot AND a.state IN ('leased', 'done')
        WHERE i.project_id = %(project)s AND NOT i.is_open AND i.closed_at IS NULL
          AND i.held_at IS NULL AND NOT i.is_gold AND i.origin = 'created'
        GROUP BY i.id HAVING count(a.id) < i.overlap""",
    "in the queue, and has none": """
        SELECT i.id, format('%%s of %%s taken', count(a.id), i.overlap)
        FROM annotation_item i LEFT JOIN annotation_assignment a
          ON a.item_id = i.id AND a.takes_slot AND a.state IN ('leased', 'done')
        WHERE i.project_id = %(project)s AND i.is_open
        GROUP BY i.id, i.closed_at, i.held_at, i.is_gold
        HAVING count(a.id) >= i.overlap OR i.closed_at IS NOT NULL OR i.held_at IS NOT NULL
          OR i.is_gold""",
    "judged twice by one annotator": """
        SELECT min(a.id), format('item %%s by annotator %%s', a.item_id, a.annotator_id)
        FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
        WHERE i.project_id = %(project)s
        GROUP BY a.item_id, a.annotator_id, a.occasion HAVING count(*) > 1""",
    "more than two items in one person's hands": """
        SELECT a.annotator_id, format('%%s live leases', count(*))
        FROM annotation_assignment a JOIN annotation_item i ON i.id = a.item_id
        WHERE i.project_id = %(project)s AND a.state = 'leased' AND a.occasion <> 'review'
        GROUP BY a.annotator_id HAVING count(*) > 2""",
    "a slot taken beside the queue": f"""
        SELECT a.id, a.occasion {_ASSIGNED} AND a.takes_slot AND a.occasion <> 'main'""",
    "a lease that never ends": f"""
        SELECT a.id, a.occasion {_ASSIGNED}
          AND a.state = 'leased' AND a.lease_expires_at IS NULL""",
    "answered without a judgment": f"""
        SELECT a.id, a.state {_ASSIGNED} AND (a.state IN ('done', 'surplus')) <> (
          EXISTS (SELECT 1 FROM annotation_judgment j WHERE j.assignment_id = a.id))""",
    "not the newest answer counts": f"""
        SELECT a.id, a.state {_ASSIGNED} AND a.current_id IS DISTINCT FROM (
          SELECT j.id FROM annotation_judgment j WHERE j.assignment_id = a.id
          ORDER BY j.revision DESC LIMIT 1)""",
    "a judgment without answers": f"""
        SELECT a.id, a.state {_ASSIGNED} AND a.current_id IS NOT NULL AND NOT EXISTS (
          SELECT 1 FROM annotation_answer v WHERE v.judgment_id = a.current_id)""",
    "an order shown that is no order of the responses": f"""
        SELECT a.id, a.shown_order::text {_ASSIGNED} AND a.takes_slot
          AND (SELECT array_agg(n ORDER BY n) FROM unnest(a.shown_order) n) IS DISTINCT FROM (
            SELECT array_agg(r.position ORDER BY r.position) FROM annotation_itemresponse r
            WHERE r.item_id = a.item_id)""",
}
MOST_NAMED = 20


def violations(project: Project) -> list[str]:
    """Empty when all holds; else a sentence for each row that breaks a promise."""
    found: list[str] = []
    with connection.cursor() as cursor:
        for promise, query in CHECKS.items():
            cursor.execute(f"{query} LIMIT {MOST_NAMED}", {"project": project.pk})
            found += [f"{promise}: {row} ({detail})" for row, detail in cursor.fetchall()]
    return found
