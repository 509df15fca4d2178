"""Text on its way to a person's terminal, and data on its way out. No foreign text may steer a terminal."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys

from syncer.errors import StorageFailed


def harmless(text: str) -> str:
    """The text with all but printable ASCII and line ends escaped: C0, C1, DEL, bidi, U+2028 and the rest (CWE-150)."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or " " <= c <= "~" else ascii(c)[1:-1] for c in text)


def write_out(text: str) -> None:
    """Write data to standard output, whole. A reader that has left (``| head``) is no error; a full disk is."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_out()
    except OSError as error:
        silence_out()
        reason = os.strerror(error.errno) if error.errno else errno.errorcode[errno.EIO]
        raise StorageFailed(f"standard output cannot be written: {reason}", hint="check where it leads") from None


def write_error(text: str) -> None:
    """Write lines for a person to standard error, harmless; there is nobody to tell if that fails."""
    with contextlib.suppress(OSError):
        print(harmless(text), file=sys.stderr, flush=True)


def prepare_streams() -> None:
    """Data leaves in UTF-8 whatever the locale says; standard streams that were closed (``>&-``) get a stand-in, for
    else the next file opened would take their place.

    Nothing is read from such an input and nobody hears the errors; data cannot be written, which ``write_out`` tells.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # the lowest number that is free: this one
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8")
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def silence_out() -> None:
    """Lead standard output nowhere, so that the flush at exit does not fail a second time."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
