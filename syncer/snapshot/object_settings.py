"""What clouds' own tools take from environment and files, and an object store's client does not: keys in AWS's shared
files, names of the `az` command, Azure's connection strings. In the client's own names; never shown.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path

from syncer.errors import UsageError

_OTHER_LOGINS = ("role_arn", "credential_process", "sso_session", "sso_start_url", "web_identity_token_file")
"""A profile with one of them has no keys of its own: reading it takes AWS's library."""
_ROLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_KEYS = {
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
}


def shared_profile(environment: Mapping[str, str]) -> dict[str, str]:
    """The keys and the region of the profile that AWS's own tools would use, if it has keys.

    Source: https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
    """
    named = environment.get("AWS_PROFILE")
    if environment.get("AWS_ACCESS_KEY_ID") or (not named and any(environment.get(name) for name in _ROLES)):
        return {}
    name = named or "default"
    home = Path(environment.get("HOME") or os.path.expanduser("~")) / ".aws"
    credentials = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials")
    config = Path(environment.get("AWS_CONFIG_FILE") or home / "config")
    found = _section(config, name if name == "default" else f"profile {name}") | _section(credentials, name)
    if any(login in found for login in _OTHER_LOGINS) or not {"aws_access_key_id", "aws_secret_access_key"} <= {*found}:
        return {}
    settings = {theirs: found[key] for key, theirs in _KEYS.items() if found.get(key)}
    if found.get("region") and not (environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")):
        settings["AWS_REGION"] = found["region"]
    return settings


def _section(path: Path, name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, default_section="", strict=False)
    try:
        parser.read(os.path.expanduser(path), encoding="utf-8")
    except (configparser.Error, OSError, ValueError):
        raise UsageError(f"{path} cannot be read", hint="repair it, or set AWS_ACCESS_KEY_ID") from None
    return dict(parser.items(name)) if parser.has_section(name) else {}


def azure_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The account, its key or token, and its endpoint, where they stand under names of `az` or in a connection string.

    Source: https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
    """
    text = environment.get("AZURE_STORAGE_CONNECTION_STRING", "")
    said = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    account = said.get("AccountName") or environment.get("AZURE_STORAGE_ACCOUNT", "")
    endpoint = said.get("BlobEndpoint", "")
    if not endpoint and said.get("EndpointSuffix", "core.windows.net") != "core.windows.net":
        endpoint = f"{said.get('DefaultEndpointsProtocol', 'https')}://{account}.blob.{said['EndpointSuffix']}"
    meant = {
        "AZURE_STORAGE_ACCOUNT_NAME": account,
        "AZURE_STORAGE_ACCOUNT_KEY": said.get("AccountKey") or environment.get("AZURE_STORAGE_KEY", ""),
        "AZURE_STORAGE_SAS_TOKEN": said.get("SharedAccessSignature", ""),
        "AZURE_STORAGE_ENDPOINT": endpoint,
    }
    return {name: value for name, value in meant.items() if value and not environment.get(name)}
