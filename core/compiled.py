"""Queries that every request repeats, compiled to SQL once for all.

Building and compiling such a query takes the ORM longer than answering it takes the database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Expression, Field, QuerySet
from django.db.models.query import get_related_populators

Row = TypeVar("Row")


class Slot(Expression):
    """Where a value goes that is known at each call only."""

    def __init__(self, name: str, field: Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, *_: object) -> tuple[str, list[Slot]]:  # type: ignore[override]
        return "%s", [self]


class Compiled(Generic[Row]):
    """`build` gets a slot for each name of `slots`, and `rows` the values that go there.

    The query's form must not depend on a value: no None, and no list but for `any`.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Row]], **slots: Field[Any, Any]) -> None:
        self._build, self._slots = build, slots
        self._ready: Callable[[dict[str, Any]], list[Row]] | None = None

    def rows(self, **values: Any) -> list[Row]:
        self._ready = self._ready or self._compile()
        return self._ready(values)

    def first(self, **values: Any) -> Row | None:
        return next(iter(self.rows(**values)), None)

    def _compile(self) -> Callable[[dict[str, Any]], list[Row]]:
        slots = {name: Slot(name, field) for name, field in self._slots.items()}
        compiler = self._build(**slots).query.get_compiler(DEFAULT_DB_ALIAS)
        sql, given = compiler.as_sql()
        converters = compiler.get_converters([column for column, *_ in compiler.select])
        made = _maker(compiler)

        def rows(values: dict[str, Any]) -> list[Row]:
            with connection.cursor() as cursor:
                cursor.execute(
                    sql, [values[one.name] if isinstance(one, Slot) else one for one in given]
                )
                found = cursor.fetchall()
            return [made(row) for row in compiler.apply_converters(found, converters)]

        return rows


def _maker(compiler: Any) -> Callable[[Any], Any]:
    """As Django's own ModelIterable, which looks all this up for each query."""
    if not compiler.query.default_cols:
        return tuple
    model, places = compiler.klass_info["model"], compiler.klass_info["select_fields"]
    begin, end = places[0], places[-1] + 1
    names = [column.target.attname for column, *_ in compiler.select[begin:end]]
    # The stubs are those of a newer Django.
    related = get_related_populators(  # type: ignore[call-arg]
        compiler.klass_info, compiler.select, DEFAULT_DB_ALIAS
    )
    notes = compiler.annotation_col_map.items()

    def made(row: Any) -> Any:
        instance = model.from_db(DEFAULT_DB_ALIAS, names, row[begin:end])
        for populator in related:
            populator.populate(row, instance)
        for name, place in notes:
            setattr(instance, name, row[place])
        return instance

    return made
