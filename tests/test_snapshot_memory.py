"""The one setting of Arrow's memory."""

from __future__ import annotations

import subprocess
import sys


def test_arrow_takes_memory_from_the_system() -> None:
    program = (
        "import pyarrow\nfrom syncer.snapshot.memory import use_system_memory_pool\nuse_system_memory_pool()\n"
        "print(pyarrow.default_memory_pool().backend_name)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "system\n"
