"""The one setting of the garbage collector."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from syncer.garbage import seldom_after_imports
with seldom_after_imports():
    modules = [[] for _ in range(100_000)]
    print(gc.get_count()[0] > 100_000)
class Cycle:
    found = 0
    def __init__(self): self.itself = self
    def __del__(self): Cycle.found += 1
for _ in range(5):
    Cycle()
kept = [[] for _ in range(60_000)]
print(gc.get_freeze_count() > 100_000, Cycle.found, gc.isenabled())
"""


def test_cycles_are_still_found_while_the_modules_are_left_alone() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "True\nTrue 5 True\n"
