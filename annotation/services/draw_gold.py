"""Makes items with known answers gold, chosen by chance."""

from __future__ import annotations

from django.db import transaction

from annotation.models import Item, Project
from annotation.selectors.gold import known_answers, with_known_answers
from annotation.services.gold import set_gold
from core.errors import Conflict, PrefloopError
from core.models import User

MOST = 200


@transaction.atomic
def draw_gold(*, project: Project, count: int, actor: User) -> list[Item]:
    """By the items' random keys, which nobody chose. Fewer when there are fewer."""
    if not 1 <= count <= MOST:
        raise PrefloopError(f"Draw between 1 and {MOST} items at once.", field="count")
    items = list(with_known_answers(project)[:count])
    if not items:
        raise Conflict("No item here has a known answer that is not gold already.")
    # All of them in one order before the first, so that nobody who locks several waits in a circle.
    drawn = Item.objects.filter(pk__in=[item.pk for item in items]).order_by("pk")
    list(drawn.select_for_update(no_key=True).values_list("pk", flat=True))
    asked = set(project.protocol.criterion_keys)
    for item in items:
        answers = {key: value for key, value in known_answers(item).items() if key in asked}
        source = item.gold_answers.values_list("source", flat=True).first() or ""
        set_gold(item=item, answers=answers, actor=actor, source=source)
    return items
