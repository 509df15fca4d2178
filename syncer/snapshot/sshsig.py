"""OpenSSH's forms around an Ed25519 signature: the envelope (PROTOCOL.sshsig), keys on one line, allowed_signers files.

Pure: no I/O, no cryptography. Reads only what it would write: any changed byte of an envelope is a fault.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from syncer.errors import UsageError

NAMESPACE = "syncer-manifest"
"""What a signature is for: one made for anything else, a commit or a login, is none of a manifest."""
KEY_TYPE = b"ssh-ed25519"
KEY_BYTES = 32
SIGNATURE_BYTES = 64

_MAGIC = b"SSHSIG"
_VERSION = struct.pack(">I", 1)
_HASH = b"sha512"
_HEAD = "-----BEGIN SSH SIGNATURE-----\n"
_TAIL = "-----END SSH SIGNATURE-----\n"
_LINE_CHARACTERS = 70
_SIGNER = re.compile(
    r"""(?P<principals>"[^"]*"|\S+)\s+
    (?:(?P<options>[A-Za-z-]+(?:="[^"]*")?(?:,[A-Za-z-]+(?:="[^"]*")?)*)\s+)?
    (?P<type>(?:ssh|ecdsa|sk)-\S+)\s+(?P<key>[A-Za-z0-9+/=]+)(?:\s.*)?""",
    re.X,
)
_LINE_HINT = "it reads NAME KEYTYPE KEY, as `syncer keygen` prints it; see ssh-keygen(1)"
_NAMESPACES = re.compile(r'namespaces="([^"]*)"')


class SignatureFault(Exception):
    """A signature is not one; the message is a half sentence that follows the file's name."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What an envelope holds: the signer's public key and the signature proper, as raw bytes."""

    key: bytes
    value: bytes


def signed_bytes(message: bytes) -> bytes:
    """What the key signs for a message."""
    return _MAGIC + _text(NAMESPACE.encode()) + _text(b"") + _text(_HASH) + _text(hashlib.sha512(message).digest())


def build_envelope(signature: Signature) -> bytes:
    """The content of a signature file."""
    blob = b"".join(
        (
            *(_MAGIC, _VERSION, _text(key_blob(signature.key)), _text(NAMESPACE.encode()), _text(b""), _text(_HASH)),
            _text(_text(KEY_TYPE) + _text(signature.value)),
        )
    )
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + _LINE_CHARACTERS] + "\n" for at in range(0, len(text), _LINE_CHARACTERS)]
    return "".join((_HEAD, *lines, _TAIL)).encode()


def parse_envelope(data: bytes) -> Signature:
    """Read a signature file. Raises SignatureFault for one of another kind, and for one that is changed at all."""
    try:
        text = data.decode("ascii")
        blob = base64.b64decode(text.removeprefix(_HEAD).removesuffix(_TAIL).replace("\n", ""), validate=True)
    except (UnicodeDecodeError, binascii.Error):
        raise SignatureFault("is not an SSH signature") from None
    # Every field but these two has one right value, and so one right length: what is built of them must be the file.
    key_at = len(_MAGIC + _VERSION + _text(_text(KEY_TYPE))) + 4
    signature = Signature(blob[key_at : key_at + KEY_BYTES], blob[-SIGNATURE_BYTES:])
    if build_envelope(signature) != data:
        raise SignatureFault(f"is not an Ed25519 SSH signature for the namespace {NAMESPACE}, or it is damaged")
    return signature


def key_blob(key: bytes) -> bytes:
    """A public key in SSH's wire form."""
    return _text(KEY_TYPE) + _text(key)


def fingerprint(key: bytes) -> str:
    """As ``ssh-keygen -l`` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key_blob(key)).digest()).decode().rstrip("=")


def public_line(key: bytes) -> str:
    """A public key as one line, without a comment or a line end."""
    return f"{KEY_TYPE.decode()} {base64.b64encode(key_blob(key)).decode()}"


def signer_line(identity: str, key: bytes) -> str:
    """The line of an allowed_signers file that trusts a key with manifests and nothing else."""
    return f'{identity} namespaces="{NAMESPACE}" {public_line(key)}'


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Who may sign manifests: names by public key."""

    names: dict[bytes, str]

    def name_of(self, key: bytes) -> str | None:
        """The signer's name; None when the key is not trusted."""
        return self.names.get(key)


def parse_allowed_signers(text: str, where: str) -> TrustedKeys:
    """Read an allowed_signers file (ssh-keygen(1)). Raises UsageError, naming the line.

    Lines for other namespaces and keys that are not Ed25519 trust nobody here. An option that would limit trust and is
    not understood is refused: to pass over it would be to trust more than was written.
    """
    names: dict[bytes, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            _read_signer(line.strip(), f"{where}, line {number}", names)
    if not names:
        raise UsageError(f"{where} trusts no Ed25519 key with the namespace {NAMESPACE}", hint="see `syncer keygen`")
    return TrustedKeys(names)


def _read_signer(line: str, where: str, names: dict[bytes, str]) -> None:
    match = _SIGNER.fullmatch(line)
    if not match:
        raise UsageError(f"{where}: this is not a line of an allowed_signers file", hint=_LINE_HINT)
    namespaces = _namespaces(match["options"] or "", where)
    if match["type"].encode() != KEY_TYPE or not any(fnmatchcase(NAMESPACE, pattern) for pattern in namespaces):
        return
    prefix = _text(KEY_TYPE) + struct.pack(">I", KEY_BYTES)
    try:
        blob = base64.b64decode(match["key"], validate=True)
    except binascii.Error:
        blob = b""
    if not blob.startswith(prefix) or len(blob) != len(prefix) + KEY_BYTES:
        raise UsageError(f"{where}: the key is damaged", hint="copy it again from its .pub file")
    names[blob[len(prefix) :]] = match["principals"].strip('"')


def _namespaces(options: str, where: str) -> Sequence[str]:
    if not options:
        return ("*",)
    match = _NAMESPACES.fullmatch(options)
    if not match:
        raise UsageError(
            f'{where}: of the options only namespaces="..." is understood here',
            hint="give a file of its own to syncer, or check with ssh-keygen -Y verify",
        )
    return match[1].split(",")


def _text(value: bytes) -> bytes:
    """A string in SSH's wire form (RFC 4251, section 5)."""
    return struct.pack(">I", len(value)) + value
