"""A project of very many items, written straight into the tables; Django is set up by then.

Items share a thousand prompts, which no hand-out reads. People are annotators without an account
behind them: a hand-out needs no more, and every one of them has nothing open.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

PROMPTS = 1000
# Foreign keys and triggers would check what the statements below get right by themselves.
UNCHECKED = "SET session_replication_role = replica"
CHECKED = "SET session_replication_role = DEFAULT"
CONTENT = """
INSERT INTO annotation_promptcluster (side, created_at) VALUES ('train', now());
INSERT INTO annotation_generator (uuid, name, family, kind, created_at)
  VALUES (gen_random_uuid(), 'bench', '', 'model', now()) ON CONFLICT DO NOTHING;
INSERT INTO annotation_prompt
    (project_id, messages, content_hash, cluster_id, side, external_id, tags, created_at)
  SELECT %(project)s, jsonb_build_array(jsonb_build_object('role', 'user', 'content',
      repeat('Why is the sky blue? ', 20) || n)), md5(n::text || %(project)s) || md5(n::text),
    (SELECT max(id) FROM annotation_promptcluster), 'train', '', '{}', now()
  FROM generate_series(1, %(prompts)s) n;
INSERT INTO annotation_response
    (uuid, prompt_id, generator_id, messages, content_hash, sampling, created_at)
  SELECT gen_random_uuid(), p.id, (SELECT max(id) FROM annotation_generator),
    jsonb_build_array(jsonb_build_object('role', 'assistant', 'content',
      repeat('Light is scattered. ', 60) || n)), md5(p.id::text) || md5(n::text), '{}', now()
  FROM annotation_prompt p, generate_series(1, 2) n WHERE p.project_id = %(project)s;
"""
ITEMS = """
WITH prompts AS (
  SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM annotation_prompt
  WHERE project_id = %(project)s)
INSERT INTO annotation_item
    (project_id, prompt_id, kind, origin, overlap, open_slots, priority, rnd, started, skips,
     batch, external_id, content_key, created_at)
  SELECT %(project)s, p.id, 'pairwise', 'created', %(overlap)s, %(overlap)s, 0,
    floor(random() * 1000000), false, 0, '', '', md5(n::text) || md5(%(project)s || ':' || n), now()
  FROM generate_series(1, %(items)s) n JOIN prompts p ON p.place = n %% %(prompts)s;
INSERT INTO annotation_itemresponse (item_id, response_id, position)
  SELECT i.id, r.id, row_number() OVER (PARTITION BY i.id ORDER BY r.uuid) - 1
  FROM annotation_item i JOIN annotation_response r ON r.prompt_id = i.prompt_id
  WHERE i.project_id = %(project)s;
"""
PEOPLE = """
INSERT INTO annotation_annotator (uuid, user_id, source, external_id, application, created_at)
  SELECT gen_random_uuid(), n, '', '', '', now()
  FROM generate_series(%(first)s, %(first)s + %(people)s - 1) n;
"""
# Far from the ids of accounts that exist.
FIRST_PERSON = 1_000_000_000


def make_project(name: str, items: int, overlap: int) -> Any:
    from annotation.models import Kind
    from annotation.services.project import create_project
    from bench.load.work import CRITERIA
    from core.models import User

    owner = User.objects.get_or_create(username="owner", can_create_projects=True)[0]
    project = create_project(
        creator=owner, name=name, kinds=[Kind.PAIRWISE], criteria=CRITERIA, overlap=overlap
    )
    values = {"project": project.pk, "items": items, "overlap": overlap, "prompts": PROMPTS}
    _unchecked(CONTENT, values)
    _unchecked(ITEMS, values)
    return project


def make_people(people: int) -> None:
    _unchecked(PEOPLE, {"first": FIRST_PERSON, "people": people})


def make_gold(project: Any, items: int) -> None:
    """The first items of the project become gold."""
    first = list(project.items.order_by("pk").values_list("pk", flat=True)[:items])
    project.items.filter(pk__in=first).update(is_gold=True)


def settle() -> None:
    """As in a database that has been up for a while: the planner knows the tables."""
    with connection.cursor() as cursor:
        for table in ("item", "itemresponse", "annotator", "assignment", "prompt", "response"):
            cursor.execute(f"VACUUM ANALYZE annotation_{table}")
        cursor.execute("CHECKPOINT")


def _unchecked(statements: str, values: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(UNCHECKED)
        for statement in filter(str.strip, statements.split(";")):
            cursor.execute(statement, values)
        cursor.execute(CHECKED)
