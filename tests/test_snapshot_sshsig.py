"""OpenSSH's forms: what is written is read again, and nothing else is."""

from __future__ import annotations

import base64

import pytest

from syncer.errors import UsageError
from syncer.snapshot.sshsig import (
    Signature,
    SignatureFault,
    build_envelope,
    fingerprint,
    parse_allowed_signers,
    parse_envelope,
    public_line,
    signer_line,
)

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
ENVELOPE = build_envelope(Signature(KEY, bytes(64)))


def test_an_envelope_is_read_as_it_was_written() -> None:
    assert parse_envelope(ENVELOPE) == Signature(KEY, bytes(64))
    assert max(map(len, ENVELOPE.splitlines())) == 70


def test_any_flipped_bit_that_does_not_change_key_or_signature_alone_is_refused() -> None:
    for bit in range(len(ENVELOPE) * 8):
        data = bytearray(ENVELOPE)
        data[bit // 8] ^= 1 << bit % 8
        try:
            assert parse_envelope(bytes(data)) != Signature(KEY, bytes(64))
        except SignatureFault:
            continue


@pytest.mark.parametrize(
    "data", [b"", b"\xff", ENVELOPE[:-1], ENVELOPE + b"\n", ENVELOPE.replace(b"U1", b"*1"), b"A" * 99]
)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(SignatureFault):
        parse_envelope(data)


def test_the_fingerprint_and_the_line_are_those_of_openssh() -> None:
    assert public_line(KEY).startswith("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI")
    assert fingerprint(KEY).startswith("SHA256:")
    assert len(fingerprint(KEY)) == 50


def test_allowed_signers_are_read_and_other_uses_of_keys_trust_nobody() -> None:
    rsa = base64.b64encode(b"\0\0\0\x07ssh-rsa").decode()
    text = "\n".join(
        (
            *("# people", "", signer_line("ops", KEY), f'git@x namespaces="git" {public_line(OTHER)}'),
            *(f"old ssh-rsa {rsa} comment", f'"a b,c" {public_line(OTHER)} some comment'),
        )
    )
    trusted = parse_allowed_signers(text, "signers")
    assert trusted.names == {KEY: "ops", OTHER: "a b,c"}
    assert (trusted.name_of(KEY), trusted.name_of(b"x")) == ("ops", None)
    assert parse_allowed_signers(f'ops namespaces="git,syncer-*" {public_line(KEY)}', "s").names == {KEY: "ops"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "signers trusts no Ed25519 key with the namespace syncer-manifest"),
        (f"ops cert-authority {public_line(KEY)}", "signers, line 1: of the options only namespaces"),
        (
            f'ops namespaces="*",valid-before="2020" {public_line(KEY)}',
            "signers, line 1: of the options only namespaces",
        ),
        ("nonsense", "signers, line 1: this is not a line of an allowed_signers file"),
        ("ops ssh-ed25519 AAAA", "signers, line 1: the key is damaged"),
        ("ops ssh-ed25519 A", "signers, line 1: the key is damaged"),
    ],
)
def test_what_would_trust_more_than_was_written_is_refused(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_allowed_signers(line, "signers")
    assert caught.value.message.startswith(message)
