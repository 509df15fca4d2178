"""`syncer keygen`: make a key that signs manifests."""

from __future__ import annotations

import argparse

from syncer.commands.settings import Subparsers
from syncer.errors import UsageError
from syncer.terminal import write_error, write_out


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "keygen",
        help="make a key that signs manifests",
        description="Make an Ed25519 key in OpenSSH's format, and print the line of an allowed_signers file that"
        " trusts it.",
    )
    parser.add_argument("path", metavar="PATH", help="where the private key goes; the public one goes to PATH.pub")
    parser.add_argument("--identity", metavar="NAME", default="syncer", help="the signer's name (default: syncer)")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Make the key; never over another."""
    if not args.identity.isprintable() or not args.identity or set(args.identity) & set(' \t"#*?!,'):
        raise UsageError(
            "--identity: expected a name without spaces, quotes and wildcards", hint="such as ops@example.com"
        )
    from syncer.commands.naming import output_file
    from syncer.snapshot.signing import create_key
    from syncer.snapshot.sshsig import fingerprint, signer_line

    with output_file("PATH", args.path) as path:
        public = create_key(path, args.identity)
    write_out(signer_line(args.identity, public) + "\n")
    write_error(
        f"The key {fingerprint(public)} is in {path}: keep it where only exports run, and give it as signing_key.\n"
        "The line above goes into the file that verify is given as trusted_keys."
    )
    return 0
