"""The run of one account with a scripted list: resuming, refusing, guarding, and what is said about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncer.crawl.recorder import in_line
from syncer.errors import CoverageNotProven, DataRefused, GaveUp, GuardTripped, LockHeld, StorageFailed, SyncerError
from syncer.export import export_account
from syncer.lock import hold_lock
from syncer.model import Counters, ListAnswer, Page, Token
from syncer.run import ExportPorts, ExportRequest, ExportResult
from syncer.snapshot.catalog import list_manifests
from syncer.snapshot.local_store import LocalStore
from syncer.state import AccountState
from tests.virtual_time import in_later_turn, run_virtual

SID = "AC" + "a" * 32
START = datetime(2026, 11, 24, 2, tzinfo=UTC)


@dataclass
class FakeList:
    """A list by key; an error or a page can be scripted for a token."""

    ids: list[str]
    script: dict[str | None, list[ListAnswer | Exception]] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)

    async def __call__(
        self, token: Token | None, page_size: int, on_next: Callable[[Token], None] | None = None
    ) -> ListAnswer:
        self.asked.append(token)
        await asyncio.sleep(0.1)
        if scripted := self.script.get(token):
            answer = scripted.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        rest = [i for i in self.ids if token is None or i > token]
        rows = rest[:page_size]
        return page(rows, rows[-1] if len(rest) > page_size else None)


def page(ids: list[str], following: str | None) -> Page:
    users: list[dict[str, object]] = [
        {"id": i, "createdAt": "2024-01-01T00:00:00Z", "updatedAt": "2024-01-02T00:00:00Z", "deletedAt": None}
        for i in ids
    ]
    return Page(users, Token(following) if following else None, None if following else "null", b'{"users":[{"x":1}]}')


@dataclass
class Account:
    """One account's folders and clock."""

    folder: Path
    service: FakeList
    now: datetime = START
    changes: dict[str, object] = field(default_factory=dict)

    def export(self, **changes: object) -> ExportResult:
        request = ExportRequest(
            SID,
            "https://api.invalid/v1",
            str(self.folder / "exports"),
            AccountState(self.folder / "state"),
            ("parquet",),
            10,
            4,
        )
        request = replace(request, **{**self.changes, **changes})  # type: ignore[arg-type]

        ports = ExportPorts(
            self.service, LocalStore(self.folder / "exports"), Counters(), lambda: self.now, in_later_turn
        )
        self.service.asked.clear()
        return run_virtual(export_account(request, ports))

    def published(self) -> list[str]:
        return [p.manifest.snapshot_id for p in list_manifests(LocalStore(self.folder / "exports"), SID)]


def ids(count: int) -> list[str]:
    return [f"u{n:04d}" for n in range(count)]


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path, FakeList(ids(95)))


def test_a_first_export_says_why_the_next_one_will_be_faster(account: Account) -> None:
    result = account.export()
    assert (result.users, result.pages, result.verdict, result.resumed) == (95, 10, "complete", False)
    assert result.notes == (
        "walked by one walker: this is the first snapshot; the next run is faster: it starts at many places of the list"
        " at once",
    )
    assert not (account.folder / "state" / "spool.sqlite").exists()


def test_the_second_export_uses_entries_and_names_the_one_before(account: Account) -> None:
    first = account.export()
    account.now += timedelta(days=1)
    second = account.export()
    assert (second.snapshot_id, second.previous_users, second.notes) == ("20261125T020000Z", 95, ())
    manifests = list(list_manifests(LocalStore(account.folder / "exports"), SID))
    previous = manifests[1].manifest.previous
    assert previous is not None
    assert (previous.snapshot_id, previous.sha256) == (first.snapshot_id, manifests[0].sha256)
    assert manifests[1].manifest.crawl.entries_used == 2


def test_an_export_that_gave_up_is_resumed_under_its_own_id(account: Account) -> None:
    account.service.script["u0049"] = [GaveUp("outage")]
    with pytest.raises(GaveUp):
        account.export()
    assert account.published() == []
    account.now += timedelta(hours=1)
    result = account.export()
    assert (result.resumed, result.snapshot_id, result.users) == (True, "20261124T020000Z", 95)
    assert account.service.asked[0] == "u0049"  # pages asked once more to see whether they keep their places come later


@pytest.mark.parametrize(
    ("changes", "hours", "why"),
    [
        ({"fresh": True}, 1, "--fresh was given"),
        ({"base_url": "https://other.invalid/v1"}, 1, "it was of another base URL"),
        ({"formats": ("parquet", "ndjson")}, 1, "it did not keep what NDJSON needs"),
        ({}, 25, "it began 1 day, 1:00:00 ago, and the limit is 1 day, 0:00:00"),
    ],
)
def test_an_unfinished_run_that_no_longer_fits_is_dropped_and_said_so(
    account: Account, changes: dict[str, object], hours: int, why: str
) -> None:
    account.service.script["u0049"] = [GaveUp("outage")]
    with pytest.raises(GaveUp):
        account.export()
    account.now += timedelta(hours=hours)
    result = account.export(**changes)
    assert (result.resumed, result.users) == (False, 95)
    assert result.notes[0] == f"an unfinished run was dropped: {why}"


def test_refused_data_is_not_resumed(account: Account) -> None:
    account.service.script["u0039"] = [page(["x1"], "u0019")]
    with pytest.raises(CoverageNotProven, match="goes round in a circle"):
        account.export()
    account.now += timedelta(hours=1)
    result = account.export()
    assert (result.users, result.notes[0]) == (95, "an unfinished run was dropped: its data was refused")


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (0, "the list is empty now, and the last snapshot holds 95 users"),
        (50, "47.4% of the 95 users of the last snapshot are gone, and guards.max_vanished_share allows 20.0%"),
    ],
)
def test_a_list_that_shrank_too_much_is_not_published_unless_allowed(account: Account, left: int, words: str) -> None:
    account.export()
    account.service.ids = ids(left)
    account.now += timedelta(days=1)
    with pytest.raises(GuardTripped) as caught:
        account.export()
    assert words in caught.value.message
    assert "--allow-shrink" in caught.value.hint
    assert len(account.published()) == 1
    result = account.export(allow_shrink=True)
    assert (result.users, result.resumed) == (left, True)


def test_after_a_guard_the_list_is_crawled_again(account: Account) -> None:
    account.export()
    account.service.ids = []
    account.now += timedelta(days=1)
    with pytest.raises(GuardTripped):
        account.export()
    account.service.ids = ids(95)
    assert account.export().users == 95


def test_rejects_are_kept_whole_and_only_published_when_allowed(account: Account) -> None:
    bad = Page([{"x": 1}], None, "null", b'{"users":[{"x":1}]}')
    account.service.script = {None: [bad] * 4}  # in each run it is asked once more, to see whether it keeps its place
    with pytest.raises(GuardTripped, match=r"1 users break the contract, and guards.max_rejects allows 0") as caught:
        account.export()
    kept = account.folder / "state" / "rejects-20261124T020000Z.ndjson"
    assert str(kept) in caught.value.hint
    assert kept.read_bytes() == b'{"reason":"there is no id","user":{"x":1}}\n'
    account.export(max_rejects=1)
    manifest = next(list_manifests(LocalStore(account.folder / "exports"), SID)).manifest
    assert manifest.rejects.count == 1


def test_a_list_that_repeats_users_is_walked_again_once_and_then_refused(account: Account) -> None:
    account.service.script["u0049"] = [page(ids(60)[45:55], "u0054")]
    result = account.export()
    assert result.users == 95
    assert "walked again" in result.notes[-1]
    account.now += timedelta(days=1)
    account.service.script["u0049"] = [page(ids(60)[45:55], "u0054") for _ in range(4)]
    with pytest.raises(CoverageNotProven, match="served with the same users twice"):
        account.export(sequential=True)


def test_an_unstable_list_is_walked_by_one_walker_and_remembered(account: Account) -> None:
    account.service.ids = ids(400)
    account.export()
    account.now += timedelta(days=1)
    odd = page(["u0250", *ids(400)[20:29]], "u0028")
    account.service.script["u0019"] = [odd]
    result = account.export()
    assert result.users == 400
    assert any("walked again from the start by one walker" in note for note in result.notes)
    account.now += timedelta(days=1)
    assert "an earlier run found that" in account.export().notes[0]
    account.now += timedelta(days=8)
    assert account.export().notes == ()


def test_a_damaged_page_index_costs_speed_only(account: Account) -> None:
    account.export()
    index = next((account.folder / "exports").glob("snapshots/*/*/pages.parquet"))
    index.chmod(0o644)
    index.write_bytes(b"nonsense")
    account.now += timedelta(days=1)
    result = account.export()
    assert result.users == 95
    assert "the last page index cannot be read" in result.notes[0]


def test_a_run_that_was_killed_after_its_commit_is_only_tidied_up(account: Account) -> None:
    class Killed(BaseException):
        pass

    class Store(LocalStore):
        def put_version(self, path: str, data: bytes, replaces: str | None) -> bool:
            raise Killed

    async def killed() -> None:
        request = ExportRequest(
            SID, "https://api.invalid/v1", "", AccountState(account.folder / "state"), ("parquet",), 10, 1
        )

        ports = ExportPorts(account.service, Store(account.folder / "exports"), Counters(), lambda: START, in_line)
        await export_account(request, ports)

    with pytest.raises(Killed):
        run_virtual(killed())
    assert account.published() == ["20261124T020000Z"]
    account.now += timedelta(hours=1)
    result = account.export()
    assert (result.snapshot_id, result.resumed) == ("20261124T030000Z", False)
    assert account.published() == ["20261124T020000Z", "20261124T030000Z"]


def test_an_account_that_is_being_exported_is_refused_before_any_request(account: Account) -> None:
    with (
        hold_lock(account.folder / "state" / "lock", SID, START),
        pytest.raises(LockHeld, match=r"another run of account AC.* is at work: process \d+ on .*, since 2026-11-24"),
    ):
        account.export()
    assert account.service.asked == []
    account.export()


def test_errors_of_the_run_have_the_exit_codes_of_the_contract() -> None:
    found = {kind.__name__: kind.exit_code for kind in (SyncerError, GaveUp, CoverageNotProven, GuardTripped, LockHeld)}
    assert found == {"SyncerError": 1, "GaveUp": 4, "CoverageNotProven": 5, "GuardTripped": 5, "LockHeld": 7}


@pytest.mark.parametrize("other_is_faster", [True, False])
def test_what_a_faster_run_tidied_up_is_told_from_a_disk_that_fails(account: Account, other_is_faster: bool) -> None:
    class Store(LocalStore):
        def claim_staging(self, path: str) -> bool:
            if not path.endswith("/parquet"):
                return super().claim_staging(path)
            if other_is_faster:
                with ThreadPoolExecutor(1) as other:
                    other.submit(account.export).result()
            raise StorageFailed("the folder is gone")

    async def export() -> None:
        state = AccountState(account.folder / "slow")
        request = ExportRequest(SID, "https://api.invalid/v1", "", state, ("parquet",), 10, 1)
        service = FakeList(account.service.ids)
        await export_account(
            request, ExportPorts(service, Store(account.folder / "exports"), Counters(), lambda: START, in_line)
        )

    with pytest.raises(SyncerError) as caught:
        run_virtual(export())
    published = account.published()
    assert (type(caught.value), len(published)) == ((DataRefused, 1) if other_is_faster else (StorageFailed, 0))
    if other_is_faster:
        assert f"another run published the snapshot {published[0]} of account {SID} while" in caught.value.message


def test_an_unfinished_run_that_another_one_has_overtaken_is_dropped(account: Account) -> None:
    account.service.script["u0049"] = [GaveUp("outage")]
    with pytest.raises(GaveUp):
        account.export()
    other = Account(account.folder, FakeList(ids(95)), START + timedelta(minutes=5))
    other.export(state=AccountState(account.folder / "other"))
    account.now += timedelta(minutes=10)
    result = account.export()
    assert (result.resumed, result.snapshot_id) == (False, "20261124T021000Z")
    assert (
        result.notes[0]
        == "an unfinished run was dropped: another run has published the snapshot 20261124T020500Z since"
    )
