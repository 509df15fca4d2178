"""The version, in one place: a constant, so that ``--version`` reads no package metadata."""

VERSION = "0.1.0"
