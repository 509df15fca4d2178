"""Which place a URI names, and what of the environment is refused before anything is asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from syncer.errors import UsageError
from syncer.snapshot.object_address import Address, Patience, allows_http, connect, parse_address
from syncer.snapshot.object_store import ObjectStore
from syncer.snapshot.store import open_store


@pytest.mark.parametrize(
    ("uri", "address", "shown"),
    [
        ("s3://bucket", Address("s3", "bucket", ""), "s3://bucket"),
        ("S3://bucket/a/b=1/", Address("s3", "bucket", "a/b=1"), "s3://bucket/a/b=1"),
        ("s3a://bucket/a", Address("s3", "bucket", "a"), "s3://bucket/a"),
        ("gs://bucket/ä %20", Address("gcs", "bucket", "ä %20"), "gs://bucket/ä %20"),
        ("az://box/a", Address("azure", "box", "a"), "az://box/a"),
        ("abfss://box@acc.dfs.core.windows.net/a", Address("azure", "box", "a", "acc"), "az://box/a"),
        ("abfs://box@acc.blob.core.windows.net", Address("azure", "box", "", "acc"), "az://box"),
    ],
)
def test_a_uri_names_a_place(uri: str, address: Address, shown: str) -> None:
    assert (parse_address(uri), str(address)) == (address, shown)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://", "the destination names no bucket"),
        ("s3:///a", "the destination names no bucket"),
        ("az:///a", "the destination names no container"),
        ("s3://bucket:9000/a", "the destination names no bucket"),
        ("s3://key@bucket/a", "a bucket's URI has no user: credentials come from the environment"),
        ("s3://bucket/a?x=1", "a bucket's URI has no query and no fragment: credentials come from the environment"),
        ("s3://bucket/a#x", "a bucket's URI has no query and no fragment: credentials come from the environment"),
        ("s3://bucket/a/../b", "the prefix 'a/../b' of the destination has empty or dotted parts"),
        ("s3://bucket/a//b", "the prefix 'a//b' of the destination has empty or dotted parts"),
        ("abfss://box@elsewhere/a", "an abfss:// URI names its account as container@account.dfs.core.windows.net"),
    ],
)
def test_what_is_no_place_is_wrong_usage(uri: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(uri)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("environment", "allowed"),
    [
        ({}, False),
        ({"AWS_ENDPOINT_URL": ""}, False),
        ({"AWS_ENDPOINT_URL": "https://minio.example"}, False),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}, True),
        ({"AWS_ENDPOINT_URL_S3": "http://[::1]:9000"}, True),
        ({"AWS_ENDPOINT": "http://localhost"}, True),
    ],
)
def test_http_is_for_this_machine_only(environment: dict[str, str], allowed: bool) -> None:
    assert allows_http("s3", environment) is allowed


@pytest.mark.parametrize(
    "url", ["http://minio.example", "http://10.0.0.1", "HTTP://127.0.0.1.example", "minio:9000", "http:"]
)
def test_an_endpoint_elsewhere_without_tls_is_refused_even_if_http_is_allowed(url: str) -> None:
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL is not https"):
        allows_http("s3", {"AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true"})


def test_the_emulator_of_azure_is_on_this_machine() -> None:
    assert allows_http("azure", {"AZURE_STORAGE_USE_EMULATOR": "true"})


def test_an_account_that_nothing_names_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(UsageError, match="az://box/a needs an account; set AZURE_STORAGE_ACCOUNT_NAME"):
        connect(parse_address("az://box/a"), Patience())
    assert connect(parse_address("abfss://box@acc.dfs.core.windows.net/a"), Patience()) is not None


def test_settings_that_make_no_sense_are_refused_without_quoting_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "acc")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "canary, not base64")
    with pytest.raises(UsageError) as caught:
        connect(parse_address("az://box/a"), Patience())
    assert caught.value.message == "the settings in the environment for az://box/a cannot be used"


def test_google_s_storage_is_reached_by_the_same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    assert repr(open_store("gs://bucket/a")) == "ObjectStore('gs://bucket/a')"


def test_a_store_shows_its_place_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    store = open_store("s3a://bucket/a")
    assert isinstance(store, ObjectStore)
    assert (repr(store), str(store)) == ("ObjectStore('s3://bucket/a')",) * 2


def test_two_destinations_do_not_share_what_is_staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    paths = {open_store(uri, tmp_path).staging_path(".staging/x") for uri in ("s3://a/x", "s3://b/x", "s3a://a/x/")}
    assert len(paths) == 2
    assert all(path.is_relative_to(tmp_path) for path in paths)


def test_without_the_extra_a_bucket_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name
        for name in sys.modules
        if name.startswith(("obstore", "syncer.snapshot.object_", "syncer.snapshot.bucket"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("syncer.snapshot.object_store")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UsageError, match=r"object stores need the extra syncer\[cloud\]"):
        open_store("s3://bucket/a")


def test_a_profile_needs_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.auth.boto3", None)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(UsageError, match="AWS_PROFILE is set, and reading profiles needs boto3"):
        connect(parse_address("s3://bucket"), Patience(), {"AWS_PROFILE": "nightly"})


def test_a_profile_is_read_by_boto3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text("[nightly]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "nightly")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    assert connect(parse_address("s3://bucket"), Patience()) is not None
    monkeypatch.setenv("AWS_PROFILE", "other")
    with pytest.raises(UsageError, match="the profile that AWS_PROFILE names gives no credentials"):
        connect(parse_address("s3://bucket"), Patience())
