"""The one choice of Arrow's memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
from syncer.snapshot.memory import choose_memory_pool
choose_memory_pool()
import pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Arrow's own choice stands")
@pytest.mark.parametrize(("chosen", "pool"), [(None, "jemalloc"), ("system", "system")])
def test_arrow_takes_memory_from_jemalloc_unless_the_user_says_otherwise(chosen: str | None, pool: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    if chosen:
        environment["ARROW_DEFAULT_MEMORY_POOL"] = chosen
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert (ran.stdout, ran.stderr) == (f"{pool}\n", "")


def test_the_choice_comes_before_arrow_is_loaded() -> None:
    program = "import sys, syncer.snapshot.memory, syncer.commands.export\nprint('pyarrow' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False\n"
