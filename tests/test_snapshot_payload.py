"""Payloads: columns come back the same, and bytes that are not theirs are refused."""

from __future__ import annotations

import pytest

from syncer.errors import StorageFailed
from syncer.snapshot.columns import make_encoder
from syncer.snapshot.payload import pack, unpack
from tests.snapshot_data import make_page, make_users


@pytest.mark.parametrize("with_lines", [True, False])
def test_packed_columns_come_back_the_same(with_lines: bool) -> None:
    batch = make_encoder(with_lines=with_lines)(make_page(make_users(20))).batch
    assert unpack(bytes(pack(batch)), with_lines=with_lines).equals(batch)


@pytest.mark.parametrize("with_lines", [True, False])
def test_short_bytes_and_those_for_other_formats_are_refused(with_lines: bool) -> None:
    packed = bytes(pack(make_encoder(with_lines=with_lines)(make_page(make_users(2))).batch))
    for end in range(len(packed)):
        with pytest.raises(StorageFailed, match="is damaged"):
            unpack(packed[:end], with_lines=with_lines)
    with pytest.raises(StorageFailed, match="was written for other formats"):
        unpack(packed, with_lines=not with_lines)


def test_the_users_own_json_takes_less_room_than_it_has() -> None:
    page = make_page(make_users(1000))
    packed = pack(make_encoder(with_lines=True)(page).batch)
    assert len(packed) < len(page.body)
