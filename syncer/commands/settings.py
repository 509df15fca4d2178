"""The options that several commands take, and the settings that come of them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable

from syncer.config import Settings, find_config, load_settings
from syncer.options import OPTIONS

Subparsers = argparse._SubParsersAction  # argparse has no public name for what add_subparsers() returns

_FLAGS = {
    "base_url": ("URL", "where the API is (default: https://comms.twilio.com/v1)"),
    "ca_file": ("FILE", "certificates to trust instead of the system's"),
    "signing_key": ("FILE", "sign the manifest with this OpenSSH private key (see syncer keygen)"),
    "trusted_keys": ("FILE", "allowed_signers file: refuse what none of its keys has signed"),
    "destination": ("PATH_OR_URI", "where the snapshots are (default: exports)"),
    "state_dir": ("DIR", "where unfinished runs and locks are kept (default: the user's state folder)"),
    "parquet_profile": ("plain|compact|redshift", "how Parquet is encoded (default: plain, which all warehouses read)"),
    "ndjson_compression": ("zstd|gzip|none", "how NDJSON is compressed (default: zstd; BigQuery reads gzip only)"),
    "page_size": ("N", "users asked for at once, 1 to 1000 (default: 1000)"),
    "concurrency": ("N", "walkers of each account (default: 8)"),
    "rate": ("R", "requests per second of each account (default: 20)"),
    "deadline": ("DURATION", "end the run after this long, and keep its progress (default: 2h)"),
}


def add_setting_flags(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Add flags for options of the configuration. Values are judged with all the others, not by argparse."""
    for name in names:
        metavar, explained = _FLAGS[name]
        parser.add_argument("--" + name.replace("_", "-"), dest=name, metavar=metavar, help=explained)


def settings_of(args: argparse.Namespace, *, with_accounts: bool) -> Settings:
    """Flags over environment over file over defaults. Raises ConfigError."""
    overrides = {option.name: getattr(args, option.name, None) for option in OPTIONS}
    path = find_config(args.config, os.environ)
    with_state = hasattr(args, "state_dir")
    return load_settings(overrides, os.environ, path, with_accounts=with_accounts, with_state=with_state)
