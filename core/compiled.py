"""Queries that every request repeats, compiled to SQL once for all.

Building and compiling such a query takes the ORM longer than answering it takes the database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Expression, Field, QuerySet
from django.db.models.query import get_related_populators
from django.db.models.sql import UpdateQuery

Row = TypeVar("Row")
Act = Callable[[dict[str, Any]], Any]


class Slot(Expression):
    """Where a value goes that is known at each call only."""

    def __init__(self, name: str, field: Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, *_: object) -> tuple[str, list[Slot]]:  # type: ignore[override]
        return "%s", [self]

    def sent(self, value: Any) -> Any:
        """Always of one type, so that one prepared statement serves them all."""
        if value is None:
            raise ValueError(f"{self.name} is None, for which this query has no form")
        return self.output_field.get_db_prep_value(value, connection)


class Compiled(Generic[Row]):
    """`build` gets the slots in their order, and `rows` the values that go there by name.

    The query's form must not depend on a value: no None, and no list.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Row]], **slots: Field[Any, Any]) -> None:
        self._build, self._slots = build, _slots(slots)
        self._ready: Act | None = None

    def rows(self, **values: Any) -> list[Row]:
        self._ready = self._ready or self._compile()
        return list(self._ready(values))

    def first(self, **values: Any) -> Row | None:
        return next(iter(self.rows(**values)), None)

    def _compile(self) -> Act:
        compiler = self._build(*self._slots.values()).query.get_compiler(DEFAULT_DB_ALIAS)
        execute = _executor(*compiler.as_sql())
        converters = compiler.get_converters([column for column, *_ in compiler.select])
        made = _maker(compiler)

        def rows(values: dict[str, Any]) -> list[Row]:
            with connection.cursor() as cursor:
                execute(cursor, values)
                found = cursor.fetchall()
            return [made(row) for row in compiler.apply_converters(found, converters)]

        return rows


class CompiledUpdate:
    """`build` returns the rows, and the fields with what they become."""

    def __init__(
        self,
        build: Callable[..., tuple[QuerySet[Any], dict[str, Any]]],
        **slots: Field[Any, Any],
    ) -> None:
        self._build, self._slots = build, _slots(slots)
        self._ready: Act | None = None

    def run(self, **values: Any) -> int:
        """How many rows there were."""
        self._ready = self._ready or self._compile()
        return int(self._ready(values))

    def _compile(self) -> Act:
        rows, become = self._build(*self._slots.values())
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values(become)
        execute = _executor(*query.get_compiler(DEFAULT_DB_ALIAS).as_sql())

        def run(values: dict[str, Any]) -> int:
            with connection.cursor() as cursor:
                execute(cursor, values)
                return int(cursor.rowcount)

        return run


def _slots(fields: dict[str, Field[Any, Any]]) -> dict[str, Slot]:
    return {name: Slot(name, field) for name, field in fields.items()}


def _executor(sql: str, given: Sequence[Any]) -> Callable[[Any, dict[str, Any]], None]:
    def execute(cursor: Any, values: dict[str, Any]) -> None:
        sent = [one.sent(values[one.name]) if isinstance(one, Slot) else one for one in given]
        cursor.execute(sql, sent)

    return execute


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
