"""Whatever people, managers and the clock do in whatever order, the queue keeps its promises."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from annotation.answers import AnswerValue
from annotation.models import Assignment, Item, Judgment
from annotation.selectors.invariants import violations
from annotation.selectors.queue import unseen_open_items
from annotation.services.claim_item import claim_item, extend_lease, open_assignment
from annotation.services.expire_leases import expire_leases
from annotation.services.gold import set_gold, unset_gold
from annotation.services.item import close_item, extend_overlap, reopen_item
from annotation.services.skip_item import skip_item
from annotation.services.submit_judgment import submit_judgment
from core.errors import Conflict
from tests.cast import annotator_of, make_cast, make_item

State = Assignment.State
ITEMS = 4
numbers = st.integers(min_value=0, max_value=1_000)


class QueueMachine(RuleBasedStateMachine):
    """Assignments are kept as they were handed out, so what acts on them is often out of date."""

    def __init__(self) -> None:
        super().__init__()
        self.around = transaction.atomic()
        self.around.__enter__()
        self.known: list[Assignment] = []
        self.sent = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.around.__exit__(None, None, None)

    @initialize(overlap=st.integers(1, 3), gold=st.sampled_from([0, 40]))
    def begin(self, overlap: int, gold: int) -> None:
        cast = make_cast()
        self.project, self.manager = cast.project, cast.mary
        self.project.gold_share, self.project.probe_share = gold, 40
        self.project.skip_limit = 2
        self.project.save()
        self.people = [cast.bob, cast.lena, cast.rita]
        self.items = [make_item(self.project, overlap=overlap).pk for _ in range(ITEMS)]

    def item(self, number: int) -> Item:
        return Item.objects.get(pk=self.items[number % ITEMS])

    def assignment(self, number: int) -> Assignment:
        return self.known[number % len(self.known)]

    @rule(person=st.integers(0, 2), ahead=st.booleans())
    def claim(self, person: int, ahead: bool) -> None:
        user = self.people[person]
        mine = annotator_of(user).assignments.filter(state=State.LEASED)
        beside = list(mine.values_list("pk", flat=True)) if ahead else []
        found = claim_item(project=self.project, user=user, beside=beside)
        if found is not None:
            assert found.pk not in beside
            assert found.state == State.LEASED
            self.known.append(found)
        elif len(beside) < 2:
            assert not unseen_open_items(self.project, annotator_of(user)).exists()

    @precondition(lambda self: self.known)
    @rule(number=numbers, strength=st.integers(-3, 3))
    def submit(self, number: int, strength: int) -> None:
        """In time, late, or once more."""
        assignment = self.assignment(number)
        self.sent += 1
        submit_judgment(
            assignment=assignment,
            client_key=f"machine {self.sent}",
            answers={"overall": AnswerValue(strength=strength)},
        )
        assert assignment.state in (State.DONE, State.SURPLUS)

    @precondition(lambda self: self.known)
    @rule(number=numbers)
    def skip(self, number: int) -> None:
        assignment = self.assignment(number)
        was = Assignment.objects.get(pk=assignment.pk).state
        try:
            skip_item(assignment=assignment)
        except Conflict:
            assert was in (State.DONE, State.SURPLUS)
        else:
            assert was in (State.LEASED, State.EXPIRED, State.SKIPPED)

    @precondition(lambda self: self.known)
    @rule(number=numbers)
    def run_out(self, number: int) -> None:
        live = Assignment.objects.filter(pk=self.assignment(number).pk, state=State.LEASED)
        live.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        expire_leases()

    @precondition(lambda self: self.known)
    @rule(number=numbers)
    def open(self, number: int) -> None:
        open_assignment(assignment=self.assignment(number))

    @precondition(lambda self: self.known)
    @rule(number=numbers)
    def beat(self, number: int) -> None:
        extend_lease(assignment=self.assignment(number))

    @rule(number=numbers)
    def close(self, number: int) -> None:
        close_item(item=self.item(number), actor=self.manager)

    @rule(number=numbers)
    def reopen(self, number: int) -> None:
        reopen_item(item=self.item(number), actor=self.manager)

    @rule(number=numbers)
    def ask_more(self, number: int) -> None:
        extend_overlap(item=self.item(number), by=1, actor=self.manager)

    @rule(number=numbers)
    def make_gold(self, number: int) -> None:
        answers = {"overall": AnswerValue(strength=1)}
        set_gold(item=self.item(number), answers=answers, actor=self.manager)

    @rule(number=numbers)
    def take_gold_back(self, number: int) -> None:
        unset_gold(item=self.item(number), actor=self.manager)

    @invariant()
    def nothing_is_broken_or_lost(self) -> None:
        if hasattr(self, "items"):
            assert violations(self.project) == []
            assert Judgment.objects.count() == self.sent


def test_the_queue_keeps_its_promises(db: None) -> None:
    run_state_machine_as_test(
        QueueMachine, settings=settings(max_examples=15, stateful_step_count=25, deadline=None)
    )
