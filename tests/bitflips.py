"""The campaign behind `make bitflips`: 2,000 flips over every kind of file that a destination holds."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.test_golden import missed_flips

FLIPS = 2000


def main() -> int:
    """Flip, verify, and say what was not found; the exit code."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        missed = missed_flips(Path(folder) / "exports", FLIPS, seed=2)
    for path, bit in missed:
        print(f"not found: bit {bit} of {path}")
    print(f"{FLIPS - len(missed)} of {FLIPS} flipped bits found in {time.monotonic() - started:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
