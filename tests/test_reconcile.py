"""Confirming missing users one by one: alone, and in the export of an account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from syncer import reconcile
from syncer.crawl.proof import prove_coverage
from syncer.errors import ContractBroken, CoverageNotProven, CredentialsRefused, GaveUp, GuardTripped, SyncerError
from syncer.export import export_account
from syncer.model import Counters, ListAnswer, Page, Token
from syncer.reconcile import confirm_missing
from syncer.run import ExportPorts, ExportRequest, ExportResult
from syncer.snapshot.catalog import Published, load_latest
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import ReconciliationFacts
from syncer.snapshot.pages import read_page_index
from syncer.snapshot.reading import read_users
from syncer.snapshot.verify import verify_snapshot
from syncer.state import AccountState
from tests.virtual_time import in_later_turn, run_virtual

SID = "AC" + "a" * 32
START = datetime(2026, 11, 24, 2, tzinfo=UTC)


def user(user_id: str, deleted: str | None = None, **more: object) -> dict[str, object]:
    times = {"createdAt": "2024-01-01T00:00:00Z", "updatedAt": "2024-01-02T00:00:00Z"}
    return {"id": user_id, **times, "deletedAt": deleted, **more}


@dataclass
class Service:
    """Users that exist; some of them the list leaves out. An error can be scripted for a fetch."""

    ids: list[str]
    unlisted: set[str] = field(default_factory=set)
    answers: dict[str, dict[str, object] | SyncerError] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    more: dict[str, object] = field(default_factory=dict)
    broken_after: str | None = None
    at_once: int = 0
    at_once_max: int = 0

    async def list_page(
        self, token: Token | None, page_size: int, on_next: Callable[[Token], None] | None = None
    ) -> ListAnswer:
        await asyncio.sleep(0.1)
        if token is not None and token == self.broken_after:
            raise GaveUp("outage")
        rest = [i for i in self.ids if i not in self.unlisted and (token is None or i > token)]
        rows = rest[:page_size]
        following = rows[-1] if len(rest) > page_size else None
        users = [user(i, **self.more) for i in rows]
        body = orjson.dumps({"users": users})
        return Page(users, Token(following) if following else None, None if following else "null", body)

    async def fetch_user(self, user_id: str) -> bytes | None:
        self.fetched.append(user_id)
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        await asyncio.sleep(0.1)
        self.at_once -= 1
        answer = self.answers.get(user_id)
        if isinstance(answer, SyncerError):
            raise answer
        found = answer or (user(user_id) if user_id in self.ids else None)
        return orjson.dumps(found) if found else None


@dataclass
class Account:
    """One account's folders and clock."""

    folder: Path
    service: Service
    now: datetime = START

    def export(self, **changes: object) -> ExportResult:
        state = AccountState(self.folder / "state")
        folder = str(self.folder / "exports")
        request = ExportRequest(SID, "https://api.invalid/v1", folder, state, ("parquet", "ndjson"), 10, 4)
        request = replace(request, **changes)  # type: ignore[arg-type]

        ports = ExportPorts(
            self.service.list_page,
            self.store,
            Counters(),
            lambda: self.now,
            in_later_turn,
            fetch_user=self.service.fetch_user,
        )
        self.now += timedelta(days=1)
        return run_virtual(export_account(request, ports))

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.folder / "exports")

    def latest(self) -> Published:
        published = load_latest(self.store, SID)
        assert published is not None
        return published

    def ids(self) -> list[str]:
        return [i for batch in read_users(self.store, self.latest().manifest) for i in batch.column("id").to_pylist()]

    def failed_checks(self) -> list[str]:
        manifest = self.latest().manifest
        assert prove_coverage(read_page_index(self.store, manifest.page_index.path)).verdict == "complete"
        return [f"{c.name}: {c.detail}" for c in verify_snapshot(self.store, SID, manifest) if not c.ok]


def ids(count: int) -> list[str]:
    return [f"u{n:04d}" for n in range(count)]


@pytest.fixture
def account(tmp_path: Path) -> Account:
    account = Account(tmp_path, Service(ids(95)))
    account.export()
    return account


def confirm(service: Service, wanted: list[str], workers: int = 4) -> tuple[int, list[str]]:
    gone, found = run_virtual(confirm_missing(wanted, service.fetch_user, workers=workers, with_lines=True))
    return gone, [user.id for user in found]


def test_all_are_asked_once_by_as_many_workers_as_allowed() -> None:
    service = Service(ids(10))
    wanted = [*ids(20), "x"]
    assert confirm(service, wanted) == (11, ids(10))
    assert sorted(service.fetched) == sorted(wanted)
    assert service.at_once_max == 4


def test_nobody_to_confirm_is_no_work() -> None:
    assert confirm(Service([]), []) == (0, [])


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (GaveUp("no answer"), GaveUp, "no answer"),
        (ContractBroken("a breach"), ContractBroken, "a breach"),
        (user("other"), ContractBroken, "the answer to a fetch is about another user"),
        ({"id": "u0003"}, ContractBroken, "the answer to a fetch breaks the contract: there is no createdAt"),
    ],
)
def test_users_that_cannot_be_confirmed_are_named(
    answer: dict[str, object] | SyncerError, kind: type[SyncerError], words: str
) -> None:
    service = Service(ids(9), answers={"u0003": answer})
    with pytest.raises(kind) as caught:
        confirm(service, ids(9))
    sentence = f"of 9 users that the list no longer holds, 1 could not be confirmed (u0003): {words}"
    assert caught.value.message == sentence
    assert len(service.fetched) == 9


def test_after_ten_failures_no_more_are_asked() -> None:
    service = Service([], answers=dict.fromkeys(ids(100), GaveUp("no answer")))
    with pytest.raises(GaveUp, match=r"10 could not be confirmed \(u0000, u0001, u0002, u0003, u0004, …\)"):
        confirm(service, ids(100), workers=1)
    assert len(service.fetched) == 10


def test_refused_credentials_end_it_at_once() -> None:
    service = Service([], answers=dict.fromkeys(ids(100), CredentialsRefused("no")))
    with pytest.raises(CredentialsRefused):
        confirm(service, ids(100), workers=1)
    assert len(service.fetched) == 1


def test_too_many_users_that_exist_are_no_crawl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "ADDED_MAX", 3)
    service = Service(ids(100))
    with pytest.raises(CoverageNotProven, match="the list left out more than 3 users that exist"):
        confirm(service, ids(100), workers=1)
    assert len(service.fetched) == 4


def test_users_that_do_not_exist_are_recorded_as_gone(account: Account) -> None:
    account.service.ids = [i for i in ids(95) if i not in ("u0003", "u0094")]
    result = account.export(confirm_vanished=10)
    assert (result.users, result.notes) == (93, ())
    assert account.latest().manifest.reconciliation == ReconciliationFacts(2, 2, ())
    assert sorted(account.service.fetched) == ["u0003", "u0094"]
    assert account.failed_checks() == []


def test_users_that_the_list_left_out_are_added_and_reported(account: Account) -> None:
    account.service.unlisted = {"u0000", "u0047", "u0048", "u0094"}
    account.service.ids.remove("u0030")
    account.service.answers["u0048"] = user("u0048", deleted="2026-01-01T00:00:00Z")
    result = account.export(confirm_vanished=10, with_changes=True)
    assert result.users == 94
    assert result.notes == (
        "the list left out 4 users that exist (1 of them deleted); they were fetched one by one and added",
        "changes since 20261125T020000Z: 1 deleted, 1 vanished",
    )
    assert account.ids() == account.service.ids
    manifest = account.latest().manifest
    assert manifest.reconciliation == ReconciliationFacts(5, 1, ("u0000", "u0047", "u0048", "u0094"))
    assert manifest.changes is not None
    assert {word: n for word, n in manifest.changes.counts.items() if n} == {
        "deleted": 1,
        "vanished": 1,
        "unchanged": 93,
    }
    assert account.failed_checks() == []


def test_verify_accepts_no_other_users_off_the_pages(account: Account) -> None:
    account.service.unlisted = {"u0047"}
    account.export(confirm_vanished=10)
    manifest = account.latest().manifest
    for added in ((), ("u0046",), ("u0047", "u0048"), ("zzz",)):
        facts = ReconciliationFacts(len(added), 0, added)
        checks = verify_snapshot(account.store, SID, replace(manifest, reconciliation=facts))
        assert not all(check.ok for check in checks), added


def test_more_missing_users_than_allowed_are_not_asked_for(account: Account) -> None:
    account.service.ids = ids(90)
    with pytest.raises(GuardTripped, match="5 users of the last snapshot are missing, and --confirm-vanished 4"):
        account.export(confirm_vanished=4)
    assert account.service.fetched == []
    result = account.export(confirm_vanished=4, allow_shrink=True)
    assert "missing users were not confirmed one by one: 5 are missing" in result.notes


def test_users_that_vanished_behind_as_many_new_ones_trip_the_guard(account: Account) -> None:
    account.service.ids = [f"v{n:04d}" for n in range(95)]
    with pytest.raises(GuardTripped, match=r"100.0% of the 95 users of the last snapshot are gone, and guards"):
        account.export()


def test_an_unreadable_previous_snapshot_does_not_stop_an_export(account: Account) -> None:
    part = next((account.folder / "exports" / "parquet").rglob("*.parquet"))
    part.write_bytes(b"PAR1 damaged")
    result = account.export(confirm_vanished=10)
    assert result.users == 95
    assert any(note.startswith("missing users were not confirmed one by one: parquet/") for note in result.notes)
    vanished = next(check for check in result.checks if check.name == "vanished")
    assert vanished.detail.startswith("cannot be told: parquet/account_sid=")


def test_when_confirming_fails_the_crawl_is_kept(account: Account) -> None:
    account.service.ids = ids(94)
    account.service.answers["u0094"] = GaveUp("no answer")
    with pytest.raises(GaveUp):
        account.export(confirm_vanished=10)
    del account.service.answers["u0094"]
    result = account.export(confirm_vanished=10, resume_max_age=timedelta(days=3))
    assert (result.resumed, result.users) == (True, 94)


def test_a_resumed_run_knows_the_fields_of_pages_that_were_fetched_before(account: Account) -> None:
    account.service.more, account.service.broken_after = {"early": 1, "both": 2}, "u0059"
    with pytest.raises(GaveUp):
        account.export(sequential=True)
    account.service.more, account.service.broken_after = {"late": 1, "both": 2}, None
    assert account.export(resume_max_age=timedelta(days=3)).resumed
    assert account.latest().manifest.fields == ("both", "early", "late")
    account.export()
    assert account.latest().manifest.fields == ("both", "late")


def test_a_run_refused_for_drift_goes_on_when_drift_is_allowed(account: Account) -> None:
    account.service.more = {"related": []}
    with pytest.raises(GuardTripped, match="1 new \\('related'\\)"):
        account.export(contract="strict")
    result = account.export(contract="strict", allow_drift=True, resume_max_age=timedelta(days=3))
    assert (result.resumed, account.latest().manifest.fields) == (True, ("related",))


def test_without_a_previous_snapshot_there_are_no_changes_and_it_is_said(tmp_path: Path) -> None:
    account = Account(tmp_path, Service(ids(3)))
    result = account.export(with_changes=True, confirm_vanished=5)
    assert result.notes[-1] == "no changes were written: there is no previous snapshot to compare with"
    manifest = account.latest().manifest
    assert (manifest.changes, manifest.reconciliation, manifest.fields) == (None, None, ())
