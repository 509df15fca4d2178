"""Keeping files: schema, merge, parts, manifest, publish, verify."""
