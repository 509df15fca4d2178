"""A page index from which users were erased still proves the list, and names none of them."""

from __future__ import annotations

import random
from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace

import pyarrow as pa
import pytest

from syncer.crawl.proof import prove_coverage
from syncer.model import PageRecord, Token
from syncer.snapshot.columns import digest_ids
from syncer.snapshot.erased_ids import ids_in, ids_in_token
from syncer.snapshot.erased_pages import ErasedPages, usable_entries
from syncer.snapshot.left_out import LeftOut, named_by_pages
from syncer.snapshot.page_cover import PageCover, PageSpan


def token(user_id: str) -> Token:
    return Token(b64encode(f"after {user_id}".encode()).decode())


def page(sequence: int, ids: list[str], last: bool = False, before: str = "") -> PageRecord:
    return PageRecord(
        0, sequence, sequence, token(before) if before else None, None if last else token(ids[-1]), "null" if last else
        None, 2, len(ids), 0, ids[0], ids[-1], min(ids), max(ids), digest_ids(sorted(ids)), "end" if last else None,
    )  # fmt: skip


AA, BB, CC, DD, EE, FF = (f"comms_pushnotificationuser_0{letter * 25}" for letter in "abcdef")
PAGES = [page(0, [AA, BB]), page(1, [CC, DD], before=BB), page(2, [EE, FF], last=True, before=DD)]


def erased(pages: list[PageRecord], held: set[str], rows: list[list[str]]) -> list[PageRecord]:
    change = ErasedPages(held)
    for record in pages:
        change.note(record)
    for ids in rows:
        change.see(ids)
    return [change.changed(record) for record in pages]


def test_borders_become_marks_where_they_stood_and_digests_are_made_anew() -> None:
    found = erased(PAGES, {BB, CC, FF}, [[AA, BB, CC], [DD, EE, FF]])
    assert [(r.first_id, r.last_id, r.users, r.digest) for r in found] == [
        (AA, f"{AA}~00000000", 1, digest_ids([AA])),
        (f"{AA}~00000001", DD, 1, digest_ids([DD])),
        (EE, f"{EE}~00000002", 1, digest_ids([EE])),
    ]
    assert prove_coverage(found).verdict == "complete"
    assert [r.next for r in found] == ["erased-0", token(DD), None]
    assert [r.token for r in usable_entries(found)] == [None, None, token(DD)]


def test_a_page_of_erased_users_only_stays_a_link() -> None:
    found = erased(PAGES, {AA, BB}, [[AA, BB, CC, DD, EE, FF]])
    assert (found[0].users, found[0].min_id, found[0].max_id) == (0, "!00000000", "!00000001")
    assert found[0].digest == digest_ids([])
    assert prove_coverage(found).verdict == "complete"


def test_of_pages_that_overlap_each_user_is_taken_from_one() -> None:
    pages = [page(0, [AA, BB, CC]), replace(PAGES[1], token=token(CC)), PAGES[2]]
    found = erased(pages, {CC}, [[AA, BB, CC, DD, EE, FF]])
    assert sum(r.users for r in found) == 6
    assert not any(CC in (r.first_id, r.last_id, r.min_id, r.max_id) for r in found)


def test_a_mark_whose_neighbour_goes_later_keeps_its_place() -> None:
    first = erased(PAGES, {BB}, [[AA, BB, CC, DD, EE, FF]])
    second = erased(first, {AA}, [[AA, CC, DD, EE, FF]])
    assert (second[0].min_id, second[0].max_id) == ("!00000000", "!00000000~00000000")
    assert (second[0].users, prove_coverage(second).verdict) == (0, "complete")


@pytest.mark.parametrize("before", ["", "x", "xy", "AC12|"])
def test_a_token_names_a_user_in_base64_wherever_it_begins(before: str) -> None:
    text = f"{before}{CC}".encode()
    for encoded in (b64encode(text), urlsafe_b64encode(text)):
        for token in (encoded.decode(), f"v1.{encoded.decode()}", encoded.decode().rstrip("=")):
            assert CC in set(ids_in_token(token))
    assert CC in set(ids_in_token(f"after:{CC}"))


def test_letters_behind_an_id_do_not_hide_it() -> None:
    assert CC in set(ids_in(f"{CC}zz".encode()))


def test_users_that_stand_on_no_page_leave_its_digest_alone() -> None:
    left_out = LeftOut(frozenset({CC}), frozenset({f"{AA}0"}))
    left_out.note(PAGES)
    rows = [AA, f"{AA}0", BB, CC, DD, EE, FF]
    table = pa.table({"id": rows, "deleted_at": pa.nulls(len(rows))})
    assert [i for kept in left_out.kept([table]) for i in kept.column("id").to_pylist()] == [i for i in rows if i != CC]
    found = list(left_out.pages(PAGES))
    assert [(r.users, r.digest) for r in found] == [(2, PAGES[0].digest), (1, digest_ids([DD])), (2, PAGES[2].digest)]
    assert (left_out.users, left_out.rows) == (6, 1)


def served(ids: list[str], chance: random.Random, *, shuffled: bool) -> list[PageRecord]:
    """Pages of two stretches that share some users at their stitch, of a list in order of ids or in none."""
    order = chance.sample(ids, len(ids)) if shuffled else ids
    middle = chance.randrange(5, len(order) - 5)
    size, shared = chance.randrange(2, 6), chance.randrange(1, 4)
    stretches = [order[: middle + shared], order[middle:]]
    records: list[PageRecord] = []
    for stretch, users in enumerate(stretches):
        pages = [users[at : at + size] for at in range(0, len(users), size)]
        if chance.random() < 0.3:
            pages.insert(chance.randrange(1, len(pages)), [])  # a link without users
        for sequence, held in enumerate(pages):
            last = sequence == len(pages) - 1
            end = last and stretch == 1
            records.append(
                PageRecord(
                    stretch, sequence, len(records), Token(f"T{stretch}-{sequence}") if stretch or sequence else None,
                    None if end else Token(f"T{stretch}-{sequence + 1}"), "null" if end else None, size, len(held), 0,
                    held[0] if held else None, held[-1] if held else None, min(held, default=None),
                    max(held, default=None), digest_ids(sorted(held)),
                    "end" if end else "met" if last else None, 1 if last and not end else None,
                    order[middle] if last and not end and order[middle] in held else None,
                )
            )  # fmt: skip
    return records


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_whoever_is_erased_the_pages_prove_the_rest_as_they_proved_all(seed: int, shuffled: bool) -> None:
    chance = random.Random(seed)
    ids = sorted(f"comms_pushnotificationuser_0{chance.randrange(10**25):025d}" for _ in range(60))
    records = served(ids, chance, shuffled=shuffled)
    verdict = prove_coverage(records).verdict
    gone = frozenset(chance.sample(ids, chance.choice([1, 3, 20, 59])))
    left_out = LeftOut(gone)
    left_out.note(records)
    cuts = sorted(chance.sample(range(1, 60), 3))
    tables = [
        pa.table({"id": ids[begin:end], "deleted_at": pa.nulls(end - begin)})
        for begin, end in zip([0, *cuts], [*cuts, 60], strict=True)
    ]
    kept = [user_id for table in left_out.kept(tables) for user_id in table.column("id").to_pylist()]
    changed = list(left_out.pages(records))
    assert kept == [user_id for user_id in ids if user_id not in gone]
    assert prove_coverage(changed).verdict == verdict
    assert sum(record.users for record in changed) == sum(record.users for record in records) - len(gone)
    spans = [
        PageSpan(r.min_id, r.max_id, r.digest, r.users, "")
        for r in sorted(changed, key=lambda r: r.min_id or "")
        if r.min_id is not None and r.max_id is not None
    ]
    cover = PageCover(spans, 0)
    cover.add(kept)
    cover.finish()
    assert (cover.faults, cover.users_off_pages) == ([], 0)
    assert gone.isdisjoint(named_by_pages(changed))
