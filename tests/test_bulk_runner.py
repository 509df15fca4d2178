"""Many ids at once: one that fails holds back nobody, and what would fail for all ends the run."""

from __future__ import annotations

import asyncio

import pytest

from syncer.bulk.ordered import InOrder
from syncer.bulk.runner import GIVE_UPS_IN_A_ROW_MAX, Ended, Failed, Run, verdict
from syncer.errors import ContractBroken, CredentialsRefused, GaveUp, PartlyDone, StorageFailed, SyncerError
from tests.virtual_time import run_virtual


class Kept:
    """Writes down what was kept."""

    def __init__(self) -> None:
        self.results: list[tuple[int, str, object]] = []

    async def keep(self, index: int, user_id: str, result: object) -> None:
        self.results.append((index, user_id, result))


def go(failing: dict[str, SyncerError], ids: list[str], workers: int = 2) -> tuple[Ended, Kept]:
    kept = Kept()

    async def work(user_id: str) -> str:
        await asyncio.sleep(1)
        if user_id in failing:
            raise failing[user_id]
        return user_id.upper()

    return run_virtual(Run(work, kept.keep, workers).go(enumerate(ids))), kept


def test_one_failure_holds_back_nobody() -> None:
    error = ContractBroken("no")
    ended, kept = go({"b": error}, ["a", "b", "c"])
    assert kept.results == [(0, "a", "A"), (1, "b", Failed(error)), (2, "c", "C")]
    assert ended == Ended([("b", error)], done=2)
    assert isinstance(verdict(ended), PartlyDone)


@pytest.mark.parametrize("error", [CredentialsRefused("401"), StorageFailed("full")])
def test_what_would_fail_for_all_ends_the_run(error: SyncerError) -> None:
    ended, _ = go({"b": error}, ["a", "b", *map(str, range(50))])
    assert (ended.stopped_by, ended.done + len(ended.failures) + ended.untried) == (error, 52)
    assert ended.untried >= 48
    assert verdict(ended) is error


def test_a_service_that_is_down_is_not_asked_for_every_id() -> None:
    ids = [str(n) for n in range(100)]
    ended, _ = go({user_id: GaveUp("down") for user_id in ids}, ids)
    assert len(ended.failures) <= GIVE_UPS_IN_A_ROW_MAX + 1
    assert isinstance(verdict(ended), GaveUp)


def test_give_ups_with_good_answers_between_them_do_not_end_the_run() -> None:
    ids = [str(n) for n in range(100)]
    ended, _ = go({user_id: GaveUp("slow") for user_id in ids[::2]}, ids)
    assert (ended.stopped_by, ended.done, ended.untried) == (None, 50, 0)


def test_one_reason_for_all_failures_is_told_by_its_own_code() -> None:
    same = Ended([("a", ContractBroken("x")), ("b", ContractBroken("y"))])
    mixed = Ended([("a", ContractBroken("x")), ("b", GaveUp("y"))])
    codes = [getattr(verdict(ended), "exit_code", 0) for ended in (same, mixed, Ended(done=1))]
    assert codes == [5, 9, 0]
    assert getattr(verdict(same, done_before=1), "exit_code", 0) == 9


def test_what_cannot_be_kept_ends_the_run_at_once() -> None:
    async def keep(_: int, user_id: str, result: object) -> None:
        raise StorageFailed("the disk is full")

    async def work(user_id: str) -> str:
        return user_id

    with pytest.raises(StorageFailed, match="full"):
        run_virtual(Run(work, keep, 3).go(enumerate(["a", "b", "c"])))


def test_results_are_given_in_order_and_nobody_runs_far_ahead() -> None:
    given: list[str] = []
    begun: list[int] = []

    async def main() -> None:
        in_order = InOrder(given.append, ahead_max=3)

        async def one(index: int) -> None:
            await in_order.wait_for_turn(index)
            begun.append(index)
            await asyncio.sleep(5 if index == 0 else 1)
            await in_order.put(index, str(index))

        async with asyncio.TaskGroup() as tasks:
            for index in range(8):
                tasks.create_task(one(index))
            await asyncio.sleep(4)
            assert (begun, given) == ([0, 1, 2], [])

    run_virtual(main())
    assert given == [str(index) for index in range(8)]
