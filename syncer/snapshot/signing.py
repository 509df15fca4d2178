"""Ed25519 keys and signatures, by the library ``cryptography``: loaded only when something is signed or checked."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.errors import UsageError
from syncer.snapshot import files
from syncer.snapshot.sshsig import (
    Signature,
    SignatureFault,
    TrustedKeys,
    build_envelope,
    fingerprint,
    parse_allowed_signers,
    parse_envelope,
    public_line,
    signed_bytes,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KEY_BYTES_MAX = 16 * 1024
_SIGNERS_BYTES_MAX = 1024 * 1024
_TRUSTED_HINT = "name the file with the lines that `syncer keygen` printed"


@dataclass(frozen=True, slots=True, repr=False)
class KeySigner:
    """Signs with an operator's key."""

    key: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """The public key, raw."""
        return self.key.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """Of the public key."""
        return fingerprint(self.public)

    def sign(self, message: bytes) -> bytes:
        """The content of a signature file."""
        return build_envelope(Signature(self.public, self.key.sign(signed_bytes(message))))


def has_library() -> bool:
    """Whether signatures can be made and checked on this machine."""
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError:
        return False
    return True


def require_library() -> None:
    """Raises UsageError when signatures can be neither made nor checked."""
    if not has_library():
        raise UsageError("signatures need the extra syncer[sign]", hint="pip install 'syncer[sign]'")


def create_key(path: Path, comment: str) -> bytes:
    """A new key at ``path`` for its owner alone, and ``path.pub`` beside it; the public key, raw.

    Raises UsageError rather than replace a file: what an old key has signed could not be checked without it.
    """
    require_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public_path = path.with_name(path.name + ".pub")
    for taken in (path, public_path):
        if taken.exists() or taken.is_symlink():
            raise UsageError(f"{taken} is there already and is not replaced", hint="give another path")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes_raw()
    _write(path, private, 0o600)
    _write(public_path, f"{public_line(public)} {comment}\n".encode(), 0o644)
    files.sync_folder(path.absolute().parent)
    return public


def load_signer(path: Path) -> KeySigner:
    """The key in an OpenSSH private key file. Raises UsageError."""
    require_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    data = _read_private(path)
    try:
        key = serialization.load_ssh_private_key(data, password=None)
    except Exception:  # the library's own words could quote the key, and its kinds of failure are many
        raise UsageError(
            f"the signing key {path} is no OpenSSH private key without a passphrase",
            hint="make one with `syncer keygen`",
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"the signing key {path} is not an Ed25519 key", hint="make one with `syncer keygen`")
    return KeySigner(key)


def load_trusted_keys(path: Path) -> TrustedKeys:
    """The keys of an allowed_signers file. Raises UsageError, also when signatures cannot be checked here."""
    require_library()
    try:
        with open(path, "rb") as file:
            text = file.read(_SIGNERS_BYTES_MAX).decode()
    except OSError as error:
        raise UsageError(f"the trusted keys {path} cannot be read: {error.strerror}", hint=_TRUSTED_HINT) from None
    except UnicodeDecodeError:
        raise UsageError(f"the trusted keys {path} are not text", hint=_TRUSTED_HINT) from None
    return parse_allowed_signers(text, str(path))


def check_signature(data: bytes, message: bytes) -> bytes:
    """The public key, raw, that made this signature of this message. Raises SignatureFault."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signature = parse_envelope(data)
    try:
        Ed25519PublicKey.from_public_bytes(signature.key).verify(signature.value, signed_bytes(message))
    except (InvalidSignature, ValueError):
        raise SignatureFault("is not a signature of this manifest") from None
    return signature.key


def _write(path: Path, data: bytes, mode: int) -> None:
    with files.storage_errors(path):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        except FileExistsError:
            raise UsageError(f"{path} is there already and is not replaced", hint="give another path") from None
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _read_private(path: Path) -> bytes:
    """Opened once and judged by what was opened, as ssh does: a key that others can read is no proof of anybody."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o077:
                raise UsageError(f"the signing key {path} can be read by others", hint="run chmod 600 on it")
            return file.read(_KEY_BYTES_MAX)
    except OSError as error:
        raise UsageError(
            f"the signing key {path} cannot be read: {error.strerror}", hint="make one with `syncer keygen`"
        ) from None
