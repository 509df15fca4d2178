"""Payloads: columns come back the same, and bytes that are not theirs are refused."""

from __future__ import annotations

import pytest

from syncer.errors import StorageFailed
from syncer.snapshot.columns import make_encoder
from syncer.snapshot.payload import pack, unpack
from tests.snapshot_data import make_page, make_users

ENCODE = make_encoder(with_lines=True)


@pytest.mark.parametrize("with_lines", [True, False])
def test_packed_columns_come_back_the_same(with_lines: bool) -> None:
    batch = make_encoder(with_lines=with_lines)(make_page(make_users(20))).batch
    assert unpack(pack(batch), with_lines=with_lines).equals(batch)


def test_short_bytes_and_those_for_other_formats_are_refused() -> None:
    packed = pack(ENCODE(make_page(make_users(2))).batch)
    for end in range(len(packed)):
        with pytest.raises(StorageFailed, match="is damaged"):
            unpack(packed[:end], with_lines=True)
    with pytest.raises(StorageFailed, match="was written for other formats"):
        unpack(packed, with_lines=False)
