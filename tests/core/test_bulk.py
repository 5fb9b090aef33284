from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from core.bulk import copy_integers, copy_rows, lock, new_ids
from core.canonical_json import canonical, digest
from core.models import AuditEvent, Job, User


def test_rows_stream_in_with_ids_drawn_before(db: None) -> None:
    first, second = new_ids(Job, 2)
    fields = ("id", "kind", "queue", "args", "state", "attempts", "max_attempts", "run_after",
              "lease_owner", "fence", "progress", "result", "error", "created_at")  # fmt: skip
    rows = [
        (key, 'tab\t"quote" \\ line\n', "default", '{"a": "é"}', "queued", 0, 3, now, "", 0,
         "{}", "{}", "", now)
        for key in (first, second)
        for now in ["2026-01-01 00:00+00"]
    ]  # fmt: skip
    copy_rows(Job, fields, rows)
    job = Job.objects.get(pk=first)
    assert (job.kind, job.args) == ('tab\t"quote" \\ line\n', {"a": "é"})
    assert Job.objects.create(kind="next", queue="default").pk > second


def test_no_rows_are_no_trouble(db: None) -> None:
    assert new_ids(Job, 0) == []
    copy_rows(Job, ("id", "kind"), [])
    copy_integers(Job, ("id",), [])


def test_any_takes_one_array(db: None, django_assert_num_queries) -> None:
    jobs = [Job.objects.create(kind=f"kind {i}", queue="default") for i in range(3)]
    with django_assert_num_queries(1) as captured:
        found = set(Job.objects.filter(pk__any={job.pk for job in jobs[:2]}))
    assert found == set(jobs[:2])
    assert "ANY(" in captured[0]["sql"]
    user = User.objects.create(username="rosa")
    event = AuditEvent.objects.create(actor=user, action="x", target_type="x", target_id="1")
    assert AuditEvent.objects.get(actor__any=[user.pk]) == event
    assert not AuditEvent.objects.filter(action__any=[]).exists()


@pytest.mark.django_db(transaction=True)
def test_a_lock_is_held_until_the_transaction_ends() -> None:
    order: list[str] = []
    held = threading.Event()

    def holder() -> None:
        try:
            with transaction.atomic():
                lock(77, 5)
                held.set()
                waiter.join(0.3)
                order.append("first")
        finally:
            connection.close()

    def wait() -> None:
        try:
            held.wait()
            with transaction.atomic():
                lock(77, 5)
                order.append("second")
        finally:
            connection.close()

    waiter = threading.Thread(target=wait)
    first = threading.Thread(target=holder)
    waiter.start()
    first.start()
    first.join()
    waiter.join()
    assert order == ["first", "second"]


def test_equal_values_have_one_spelling() -> None:
    assert canonical({"b": "é", "a": [1, None]}) == '{"a":[1,null],"b":"é"}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))
