"""Which place a URI names, and what of the environment is refused before anything is asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from syncer.errors import UsageError
from syncer.snapshot.destination import open_store
from syncer.snapshot.object_address import Address, Patience, allows_http, connect, parse_address
from syncer.snapshot.object_settings import azure_settings, shared_profile
from syncer.snapshot.object_store import ObjectStore


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


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """AWS's shared files with several profiles, and the environment that leads to them."""
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = a\naws_secret_access_key = b%c\n"
        "[nightly]\naws_access_key_id=n\naws_secret_access_key=m\naws_session_token = t\n"
    )
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-west-1\n[profile nightly]\nregion = eu-north-1\ns3 =\n  addressing_style = path\n"
        "[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n"
    )
    return {"AWS_SHARED_CREDENTIALS_FILE": f"{tmp_path}/credentials", "AWS_CONFIG_FILE": f"{tmp_path}/config"}


DEFAULT = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b%c", "AWS_REGION": "eu-west-1"}


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, DEFAULT),
        ({"AWS_REGION": "us-east-2"}, {name: DEFAULT[name] for name in DEFAULT if name != "AWS_REGION"}),
        (
            {"AWS_PROFILE": "nightly"},
            {
                "AWS_ACCESS_KEY_ID": "n",
                "AWS_SECRET_ACCESS_KEY": "m",
                "AWS_SESSION_TOKEN": "t",
                "AWS_REGION": "eu-north-1",
            },
        ),
        ({"AWS_PROFILE": "role"}, {}),
        ({"AWS_PROFILE": "nobody"}, {}),
        ({"AWS_ACCESS_KEY_ID": "k"}, {}),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, {}),
        ({"AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_CONFIG_FILE": "/nowhere"}, {}),
    ],
)
def test_keys_of_the_shared_files_are_read_as_by_aws_own_tools(
    environment: dict[str, str], settings: dict[str, str], files: dict[str, str]
) -> None:
    assert shared_profile({**files, **environment}) == settings


def test_shared_files_are_found_at_home_and_used(files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    Path(files["AWS_SHARED_CREDENTIALS_FILE"]).rename(tmp_path / ".aws" / "credentials")
    config = connect(parse_address("s3://bucket"), Patience(), {"HOME": str(tmp_path)}).config
    assert (config["access_key_id"], config["secret_access_key"]) == ("a", "b%c")


def test_a_shared_file_that_cannot_be_read_is_wrong_usage(files: dict[str, str]) -> None:
    Path(files["AWS_SHARED_CREDENTIALS_FILE"]).write_text("canary")
    with pytest.raises(UsageError) as caught:
        shared_profile(files)
    assert (caught.value.message.endswith("credentials cannot be read"), "canary" in str(caught.value)) == (True, False)


ACCOUNT = {"AZURE_STORAGE_ACCOUNT_NAME": "acc", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}
STRING = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5;EndpointSuffix="


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, {}),
        ({"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_KEY": "a2V5"}, ACCOUNT),
        ({"AZURE_STORAGE_ACCOUNT": "acc", **ACCOUNT}, {}),
        ({"AZURE_STORAGE_CONNECTION_STRING": STRING + "core.windows.net"}, ACCOUNT),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": STRING + "core.chinacloudapi.cn"},
            {**ACCOUNT, "AZURE_STORAGE_ENDPOINT": "https://acc.blob.core.chinacloudapi.cn"},
        ),
        (
            {"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=https://a/b;SharedAccessSignature=sv=1&sig=x%3D;"},
            {"AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=x%3D", "AZURE_STORAGE_ENDPOINT": "https://a/b"},
        ),
    ],
)
def test_azure_is_told_in_the_words_of_its_own_tools_too(environment: dict[str, str], settings: dict[str, str]) -> None:
    assert azure_settings(environment) == settings


def test_a_connection_string_reaches_the_client_and_no_endpoint_elsewhere_without_tls() -> None:
    address = parse_address("az://box/a")
    config = connect(address, Patience(), {"AZURE_STORAGE_CONNECTION_STRING": STRING + "core.windows.net"}).config
    assert (config["account_name"], config["account_key"]) == ("acc", "a2V5")
    with pytest.raises(UsageError, match="AZURE_STORAGE_ENDPOINT is not https"):
        connect(address, Patience(), {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=a;BlobEndpoint=http://h/a"})


def test_a_profile_without_keys_needs_boto3(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.auth.boto3", None)
    with pytest.raises(UsageError, match="the profile that AWS_PROFILE names has no keys, and reading it needs boto3"):
        connect(parse_address("s3://bucket"), Patience(), {**files, "AWS_PROFILE": "role"})


def test_a_profile_that_is_not_there_is_wrong_usage(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**files, "AWS_PROFILE": "other"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(UsageError, match="the profile that AWS_PROFILE names gives no credentials"):
        connect(parse_address("s3://bucket"), Patience())
