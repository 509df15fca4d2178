"""`python -m syncer` and the `syncer` command."""

from __future__ import annotations

import resource
import sys


def main() -> None:
    """Run the command line; leaves by SystemExit."""
    from syncer.terminal import open_missing_streams

    open_missing_streams()
    # A core dump would hold the secrets.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    from syncer.commands.main import main as run_main

    sys.exit(run_main(sys.argv[1:]))


if __name__ == "__main__":
    main()
