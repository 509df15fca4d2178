"""What a bulk delete would do, before it does anything. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from syncer.bulk.ids import Chosen
from syncer.errors import UsageError
from syncer.model import counted

DELETES_MAX = 1000
"""More than this in one run is asked for by number: a wrong file is usually a long one."""


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """``send`` in the order given; the rest needs no request."""

    account_sid: str
    send: tuple[str, ...]
    repeated: int
    done_before: int
    """Ids that a receipt calls done."""

    @property
    def confirmation(self) -> str:
        """What a person types to agree."""
        return f"delete {counted(len(self.send), 'user')} of {self.account_sid}"

    def summary(self) -> str:
        """One sentence."""
        notes = [f"{self.done_before:,} with a receipt already"] if self.done_before else []
        notes += [f"{self.repeated:,} given again"] if self.repeated else []
        rest = f"; {', '.join(notes)}" if notes else ""
        return f"{counted(len(self.send), 'user')} of account {self.account_sid} to delete{rest}"


def plan_deletes(account_sid: str, chosen: Chosen, is_final: Callable[[str], bool], deletes_max: int) -> DeletePlan:
    """Leave out what has a receipt. Raises UsageError when more are left than ``deletes_max``."""
    send = tuple(user_id for user_id in chosen.ids if not is_final(user_id))
    if len(send) > deletes_max:
        raise UsageError(
            f"{counted(len(send), 'user')} would be deleted, and the limit is {deletes_max:,}: nothing was sent",
            hint=f"if that is what you mean, add --max {len(send)}",
        )
    return DeletePlan(account_sid, send, chosen.repeated, len(chosen.ids) - len(send))
