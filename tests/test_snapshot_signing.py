"""Keys and signatures against the real ssh-keygen: each checks what the other has made."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from syncer.errors import UsageError
from syncer.snapshot import signing
from syncer.snapshot.signing import check_signature, create_key, load_signer, load_trusted_keys
from syncer.snapshot.sshsig import NAMESPACE, SignatureFault, signer_line

MESSAGE = b'{"version": 1}\n'
needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")


def ssh_keygen(*args: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh-keygen", *map(str, args)], input=stdin, capture_output=True, timeout=30)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    create_key(tmp_path / "key", "syncer")
    return tmp_path / "key"


def test_a_signature_is_of_its_message_and_its_key(key: Path) -> None:
    signer = load_signer(key)
    assert check_signature(signer.sign(MESSAGE), MESSAGE) == signer.public
    with pytest.raises(SignatureFault, match="not a signature of this manifest"):
        check_signature(signer.sign(MESSAGE), MESSAGE + b" ")


def test_every_flipped_bit_of_a_signature_is_found(key: Path) -> None:
    data = load_signer(key).sign(MESSAGE)
    for bit in range(0, len(data) * 8, 5):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureFault):
            check_signature(bytes(changed), MESSAGE)


def test_keys_are_their_owners_and_never_replaced(key: Path) -> None:
    private, public = key.read_bytes(), key.with_name("key.pub").read_bytes()
    assert (key.stat().st_mode & 0o777, key.with_name("key.pub").stat().st_mode & 0o777) == (0o600, 0o644)
    with pytest.raises(UsageError, match="is there already and is not replaced"):
        create_key(key, "again")
    key.unlink()
    with pytest.raises(UsageError, match=r"key\.pub is there already"):
        create_key(key, "again")
    assert (private.splitlines()[0], key.with_name("key.pub").read_bytes()) == (
        b"-----BEGIN OPENSSH PRIVATE KEY-----",
        public,
    )


@needs_ssh_keygen
def test_ssh_keygen_checks_what_syncer_signed(key: Path, tmp_path: Path) -> None:
    signer = load_signer(key)
    (tmp_path / "signers").write_text(signer_line("ops", signer.public) + "\n")
    (tmp_path / "sig").write_bytes(signer.sign(MESSAGE))
    check = ("-Y", "verify", "-f", tmp_path / "signers", "-I", "ops", "-n", NAMESPACE, "-s", tmp_path / "sig")
    assert ssh_keygen(*check, stdin=MESSAGE).returncode == 0
    assert ssh_keygen(*check, stdin=MESSAGE + b" ").returncode != 0
    shown = ssh_keygen("-l", "-f", tmp_path / "key.pub").stdout.decode().split()
    assert shown == ["256", signer.fingerprint, "syncer", "(ED25519)"]


@needs_ssh_keygen
def test_syncer_signs_with_and_checks_what_ssh_keygen_made(tmp_path: Path) -> None:
    ssh_keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key")
    (tmp_path / "message").write_bytes(MESSAGE)
    ssh_keygen("-Y", "sign", "-f", tmp_path / "key", "-n", NAMESPACE, tmp_path / "message")
    theirs = (tmp_path / "message.sig").read_bytes()
    signer = load_signer(tmp_path / "key")
    assert theirs == signer.sign(MESSAGE)
    assert check_signature(theirs, MESSAGE) == signer.public
    ssh_keygen("-Y", "sign", "-f", tmp_path / "key", "-n", "git", tmp_path / "message", stdin=b"y\n")
    with pytest.raises(SignatureFault, match="for the namespace syncer-manifest"):
        check_signature((tmp_path / "message.sig").read_bytes(), MESSAGE)


@needs_ssh_keygen
@pytest.mark.parametrize(("kind", "passphrase"), [("ed25519", "secret"), ("ecdsa", "")])
def test_other_keys_are_refused(kind: str, passphrase: str, tmp_path: Path) -> None:
    ssh_keygen("-q", "-t", kind, "-N", passphrase, "-f", tmp_path / "key")
    with pytest.raises(UsageError, match=r"no OpenSSH private key without a passphrase|not an Ed25519 key"):
        load_signer(tmp_path / "key")


def test_a_key_that_cannot_be_used_is_named_and_not_quoted(key: Path, tmp_path: Path) -> None:
    for path, told in [
        (tmp_path / "absent", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
    ]:
        with pytest.raises(UsageError, match=told):
            load_signer(path)
    key.chmod(0o640)
    with pytest.raises(UsageError, match="run chmod 600"):
        load_signer(key)
    key.chmod(0o600)
    key.write_text("canary")
    with pytest.raises(UsageError) as caught:
        load_signer(key)
    assert "canary" not in str(caught.value)


def test_trusted_keys_are_read_from_a_file(key: Path, tmp_path: Path) -> None:
    signer = load_signer(key)
    path = tmp_path / "signers"
    path.write_text(signer_line("ops", signer.public) + "\n")
    assert load_trusted_keys(path).name_of(signer.public) == "ops"
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="are not text"):
        load_trusted_keys(path)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_trusted_keys(tmp_path / "absent")


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch, key: Path) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    assert not signing.has_library()
    for use in (lambda: load_signer(key), lambda: load_trusted_keys(key), lambda: create_key(key, "")):
        with pytest.raises(UsageError, match=r"signatures need the extra syncer\[sign\]"):
            use()


def test_no_secret_is_shown(key: Path) -> None:
    assert "key=" not in repr(load_signer(key))
