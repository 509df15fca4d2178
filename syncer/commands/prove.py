"""`syncer prove`: prove that a user is, or is not, in a snapshot; check such a proof without the data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.errors import SnapshotMismatch, UsageError
from syncer.terminal import harmless, write_error, write_out

if TYPE_CHECKING:
    from syncer.config import Settings

_FILE_BYTES_MAX = 64 * 1024 * 1024
_SIGNATURE_HINT = "do not rely on this manifest; ask whoever signs for the right one"


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "prove",
        help="prove that a user is, or is not, in a snapshot",
        description="Write a proof that a user is, or is not, in a snapshot: the block of rows around it, and the"
        " hashes that lead to the root in the manifest. With --check, check one: only the proof and the manifest are"
        " needed.",
    )
    parser.add_argument("user_id", nargs="?", metavar="USER_ID", help="the user")
    parser.add_argument(
        "snapshot", nargs="?", default="latest", metavar="SNAPSHOT", help="an id, latest (default) or previous"
    )
    add_setting_flags(parser, ("destination", "state_dir", "trusted_keys"))
    parser.add_argument("--account", metavar="SID", help="needed when the destination holds several accounts")
    parser.add_argument("--output", metavar="FILE", help="write the proof here (default: standard output)")
    parser.add_argument("--check", metavar="FILE", help="check this proof instead of making one")
    parser.add_argument(
        "--manifest", metavar="FILE", help="the manifest to check it against; FILE.sig is its signature"
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Make or check; a proof of absence is no failure."""
    settings = settings_of(args, with_accounts=False)
    if args.check is not None:
        if args.manifest is None or args.user_id is not None:
            raise UsageError("--check FILE wants --manifest FILE and no user", hint="see syncer prove --help")
        return _check(Path(args.check), Path(args.manifest), settings.trusted_keys)
    if args.user_id is None or args.manifest is not None:
        raise UsageError("give a user's id, or --check FILE with --manifest FILE", hint="see syncer prove --help")
    if not args.user_id or not args.user_id.isprintable():
        raise UsageError("the user's id is empty, or holds characters that no id has", hint="see syncer prove --help")
    return _prove(args, settings)


def _prove(args: argparse.Namespace, settings: Settings) -> int:
    from syncer.bulk.ledger import read_erased
    from syncer.commands.erased import refuse_erased
    from syncer.commands.naming import account_meant, open_existing, output_file
    from syncer.snapshot.catalog import find_snapshot
    from syncer.snapshot.evidence import prove_user
    from syncer.snapshot.files import put_file
    from syncer.snapshot.proof_file import build_proof

    store = open_existing(settings.destination)
    sid = account_meant(store, args.account)
    published = find_snapshot(store, sid, args.snapshot)
    proof = prove_user(store, published.manifest, published.sha256, args.user_id)
    shown = [row.id for block in proof.blocks for row in block.rows]  # that an erased user is absent may be proven
    refuse_erased(shown, read_erased(settings.state_dir / sid), proof.snapshot_id, "no proof was written")
    where = f"snapshot {proof.snapshot_id} of {proof.account_sid}"
    if args.output is None:
        write_out(build_proof(proof).decode())
        write_error(f"{proof.user_id} is {'' if proof.present else 'not '}in {where}")
    else:
        with output_file("--output", args.output) as path:
            put_file(path.absolute(), build_proof(proof), replace=True)
        write_error(f"{proof.user_id} is {'' if proof.present else 'not '}in {where}; the proof is in {path}")
    return 0


def _check(proof_path: Path, manifest_path: Path, trusted_keys: Path | None) -> int:
    from syncer.snapshot.proof_check import check_proof
    from syncer.snapshot.proof_file import parse_proof

    manifest = _read(manifest_path)
    if trusted_keys is not None:
        _check_signature(manifest_path, manifest, trusted_keys)
    else:
        write_error(
            "whether the manifest is the one that was published was not checked: give --trusted-keys if it is signed"
        )
    proof = parse_proof(_read(proof_path))
    finding = check_proof(proof, manifest)
    where = f"snapshot {proof.snapshot_id} of {proof.account_sid}"
    if finding.row is None:
        between = f"before: {finding.before or 'nobody'}; after: {finding.after or 'nobody'}"
        write_out(harmless(f"{proof.user_id} is not in {where} ({between})\n"))
    else:
        write_out(harmless(f"{proof.user_id} is in {where}\n"))
    return 0


def _check_signature(path: Path, manifest: bytes, trusted_keys: Path) -> None:
    from syncer.snapshot.layout import PRUNED_NAME, SIGNATURE_NAME
    from syncer.snapshot.signing import check_signature, load_trusted_keys
    from syncer.snapshot.sshsig import SignatureFault

    trusted = load_trusted_keys(trusted_keys)
    signature = path.with_name(SIGNATURE_NAME if path.name == PRUNED_NAME else path.name + ".sig")
    if not signature.exists():
        raise SnapshotMismatch(f"{path} is not signed: {signature} is not there", hint=_SIGNATURE_HINT)
    try:
        key = check_signature(_read(signature), manifest)
    except SignatureFault as fault:
        raise SnapshotMismatch(f"{signature} {fault}", hint=_SIGNATURE_HINT) from None
    if trusted.name_of(key) is None:
        raise SnapshotMismatch(f"{signature} is by a key that is not among the trusted keys", hint=_SIGNATURE_HINT)


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="name a file that can be read") from None
    if len(data) > _FILE_BYTES_MAX:
        raise UsageError(
            f"{path} is longer than {_FILE_BYTES_MAX} bytes: it is neither a proof nor a manifest",
            hint="name another file",
        )
    return data
