"""Which bucket a URI names, and how it is reached: by each cloud's own conventions, from the environment.

The one place that makes a client of an object store. Nothing secret is kept here or shown.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from syncer.errors import UsageError
from syncer.snapshot.object_settings import azure_settings, shared_profile

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, RetryConfig

Cloud = Literal["s3", "azure", "gcs"]
CLOUDS: dict[str, Cloud] = {"s3": "s3", "s3a": "s3", "az": "azure", "abfs": "azure", "abfss": "azure", "gs": "gcs"}
_AZURE_HOSTS = (".dfs.core.windows.net", ".blob.core.windows.net")
_ENDPOINTS: dict[Cloud, tuple[str, ...]] = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "azure": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "AZURITE_BLOB_STORAGE_URL"),
    "gcs": ("GOOGLE_BASE_URL",),
}
_MORE_SETTINGS: dict[Cloud, Callable[[Mapping[str, str]], dict[str, str]]] = {
    "s3": shared_profile,
    "azure": azure_settings,
    "gcs": lambda environment: {},  # noqa: ARG005
}
_NAME = "write it as s3://bucket/prefix, az://container/prefix or gs://bucket/prefix"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request may take. The worst case of one is ``retry_seconds`` and one more ``request_seconds``."""

    connect_seconds: float = 10
    request_seconds: float = 120
    """With its body: 8 MiB at half a megabit a second."""
    retries: int = 5
    retry_seconds: float = 60
    pause_seconds: float = 0.2
    """Before the first retry; twice as long before each further one."""


@dataclass(frozen=True, slots=True)
class Address:
    """A place in an object store. ``prefix`` has no slash at either end; ``account`` is Azure's, if the URI has it."""

    cloud: Cloud
    bucket: str
    prefix: str
    account: str | None = None

    def __str__(self) -> str:
        scheme = {"s3": "s3", "azure": "az", "gcs": "gs"}[self.cloud]
        return f"{scheme}://{self.bucket}/{self.prefix}".rstrip("/")


def parse_address(uri: str) -> Address:
    """Raises UsageError for what is not the name of a place in a bucket."""
    parts = urlsplit(uri)
    cloud = CLOUDS[parts.scheme.lower()]
    rest = uri.partition("://")[2]
    place, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    if parts.query or parts.fragment or "?" in rest or "#" in rest:
        raise UsageError("a bucket's URI has no query and no fragment: credentials come from the environment")
    if any(part in ("", ".", "..") for part in prefix.split("/") if prefix):
        raise UsageError(f"the prefix {prefix!a} of the destination has empty or dotted parts", hint=_NAME)
    bucket, at, host = place.partition("@")
    if at and cloud != "azure":
        raise UsageError("a bucket's URI has no user: credentials come from the environment", hint=_NAME)
    if not bucket or ":" in place:
        raise UsageError(f"the destination names no {'container' if cloud == 'azure' else 'bucket'}", hint=_NAME)
    return Address(cloud, bucket, prefix, _azure_account(host) if at else None)


def _azure_account(host: str) -> str:
    for suffix in _AZURE_HOSTS:
        if host.endswith(suffix) and host != suffix:
            return host.removesuffix(suffix)
    raise UsageError(
        "an abfss:// URI names its account as container@account.dfs.core.windows.net",
        hint="for another endpoint give az://container/prefix and set AZURE_STORAGE_ENDPOINT",
    )


def allows_http(cloud: Cloud, environment: Mapping[str, str]) -> bool:
    """Whether the endpoint is this machine's own. Raises UsageError for another one without TLS."""
    given = [(name, environment[name]) for name in _ENDPOINTS[cloud] if environment.get(name)]
    plain = [(name, urlsplit(url).hostname or "") for name, url in given if not url.lower().startswith("https://")]
    for name, host in plain:
        if not _is_loopback(host):
            raise UsageError(
                f"{name} is not https: users and credentials would cross the network in the clear",
                hint="give an https:// endpoint; http:// is for this machine's own addresses",
            )
    return bool(plain) or (cloud == "azure" and "AZURE_STORAGE_USE_EMULATOR" in environment)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connect(address: Address, patience: Patience, environment: Mapping[str, str] = os.environ) -> Any:
    """A client for the address; asks nothing yet. Raises UsageError for settings that cannot work."""
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, S3Store

    more: Any = _MORE_SETTINGS[address.cloud](environment)
    environment = {**environment, **more}
    client: ClientConfig = {
        "allow_http": allows_http(address.cloud, environment),
        "connect_timeout": timedelta(seconds=patience.connect_seconds),
        "timeout": timedelta(seconds=patience.request_seconds),
        "user_agent": "syncer",
    }
    retry: RetryConfig = {
        "max_retries": patience.retries,
        "retry_timeout": timedelta(seconds=patience.retry_seconds),
        "backoff": {
            "init_backoff": timedelta(seconds=patience.pause_seconds),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }
    prefix = address.prefix or None
    try:
        if address.cloud == "s3":
            provider = _profile(environment)
            return S3Store(
                address.bucket, prefix=prefix, config=more | {"conditional_put": "etag"}, client_options=client,
                retry_config=retry, credential_provider=provider,
            )  # fmt: skip
        if address.cloud == "gcs":
            return GCSStore(address.bucket, prefix=prefix, client_options=client, retry_config=retry)
        account: AzureConfig = {**more, **({"account_name": address.account} if address.account else {})}
        return AzureStore(address.bucket, prefix=prefix, config=account, client_options=client, retry_config=retry)
    except (BaseError, ValueError) as error:
        raise _unusable(address, str(error)) from None


def _profile(environment: Mapping[str, str]) -> Any:
    """The client reads keys, web identities and instance roles itself, and we profiles with keys; for one with a role
    or single sign-on there is boto3, if it is installed."""
    if not environment.get("AWS_PROFILE") or environment.get("AWS_ACCESS_KEY_ID"):
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise UsageError(
            "the profile that AWS_PROFILE names has no keys, and reading it needs boto3",
            hint="pip install boto3, or set AWS_ACCESS_KEY_ID",
        ) from None
    try:
        return Boto3CredentialProvider()
    except Exception:  # whatever botocore says may quote its files
        raise UsageError("the profile that AWS_PROFILE names gives no credentials", hint="log in again") from None


def _unusable(address: Address, text: str) -> UsageError:
    if "Account must be specified" in text:
        return UsageError(
            f"{address} needs an account",
            hint="set AZURE_STORAGE_ACCOUNT_NAME, or write abfss://container@account.dfs.core.windows.net/prefix",
        )
    return UsageError(f"the settings in the environment for {address} cannot be used", hint="see docs/stores.md")
