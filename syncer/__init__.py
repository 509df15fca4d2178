"""syncer: bulk export, fetch and delete of push-notification users, with a proof that nothing was missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncer.client import Client, Deleted

__all__ = ["Client", "Deleted"]


def __getattr__(name: str) -> Any:
    """Load the client only when it is asked for: `syncer --help` has no use for aiohttp."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from syncer import client

    return getattr(client, name)
