"""A user that was fetched alone, as the columns that a page would have given. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from syncer.errors import ContractBroken
from syncer.model import Page
from syncer.snapshot.columns import make_encoder


@dataclass(frozen=True, slots=True)
class FetchedUser:
    """One user that no page held."""

    id: str
    batch: Any
    """One row, with the columns of the spool."""

    @property
    def is_deleted(self) -> bool:
        """Whether the user has a tombstone."""
        return bool(self.batch.column("deleted_at").null_count == 0)


def encode_fetched(user_id: str, user: bytes, *, with_lines: bool) -> FetchedUser:
    """The row of a user, given its JSON. Raises ContractBroken for another user, or one that breaks the contract."""
    body = b'{"users":[%s]}' % user
    encoded = make_encoder(with_lines=with_lines)(Page(orjson.loads(body)["users"], None, "null", body))
    if encoded.rejects:
        raise ContractBroken(f"the answer to a fetch breaks the contract: {encoded.rejects[0].reason}")
    if encoded.ids != [user_id]:
        raise ContractBroken("the answer to a fetch is about another user")
    return FetchedUser(user_id, encoded.batch)
