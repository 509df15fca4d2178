"""The program against object stores: real processes on real sockets, killed, doubled and starved."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from obstore.store import S3Store

from tests import clouds
from tests.erased_traces import found
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.processes import SID, Emulator, emulator, environment, start_syncer, syncer

BOTH = ("--format", "parquet", "--format", "ndjson")
ACCOUNT = f"account_sid={SID}"


@pytest.fixture(scope="module")
def s3() -> Iterator[clouds.Cloud]:
    with clouds.s3() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    with emulator("--users", "3000", "--seed", "5") as running:
        yield running


@pytest.fixture(params=["s3", "azure"])
def cloud(request: pytest.FixtureRequest, s3: clouds.Cloud) -> Iterator[clouds.Cloud]:
    if request.param == "s3":
        yield s3
    elif clouds.find_azurite() is None:
        pytest.skip("Azurite is not there: npm install azurite, and name its azurite-blob in $AZURITE_BLOB")
    else:
        with clouds.azure() as running:
            yield running


def flags(service: Emulator, destination: str, state: Path, *more: str) -> list[str]:
    return [
        "export", "--base-url", service.url, "--destination", destination, "--state-dir", str(state),
        "--rate", "10000", "--json", "--progress", "never", *more,
    ]  # fmt: skip


def export(service: Emulator, cloud: clouds.Cloud, destination: str, state: Path, *more: str) -> dict[str, Any]:
    done = syncer(*flags(service, destination, state, *more), **cloud.env)
    assert done.returncode == 0, done.stderr
    snapshot: dict[str, Any] = json.loads(done.stdout)["snapshots"][0]
    return snapshot


def ids(cloud: clouds.Cloud, destination: str) -> list[str]:
    done = syncer("snapshots", "--destination", destination, "--json", **cloud.env)
    if done.returncode == 2:  # none yet
        return []
    assert done.returncode == 0, done.stderr
    return [entry["snapshot_id"] for entry in json.loads(done.stdout)["snapshots"]]


def expect_verified(cloud: clouds.Cloud, destination: str, name: str = "latest") -> None:
    done = syncer("verify", name, "--destination", destination, **cloud.env)
    assert done.returncode == 0, done.stderr


def test_every_command_works_on_a_bucket(cloud: clouds.Cloud, tmp_path: Path) -> None:
    destination = f"{cloud.uri}/commands"
    at = ("--destination", destination)
    with emulator("--users", "1500", "--seed", "3") as service:
        first = export(service, cloud, destination, tmp_path / "state", *BOTH)
        service.change(create=10, update=5, delete=3)
        second = export(service, cloud, destination, tmp_path / "state", *BOTH)
        truth = service.truth()
        known = next(user["id"] for user in truth)
        checked = syncer("check", "--base-url", service.url, "--state-dir", str(tmp_path / "state"), *at, **cloud.env)
    assert (checked.returncode, f"{destination} can be listed, written" in checked.stdout) == (0, True)
    assert ids(cloud, destination) == [first["snapshot_id"], second["snapshot_id"]]
    expect_verified(cloud, destination)
    expect_verified(cloud, destination, "previous")
    diff = json.loads(syncer("diff", *at, "--json", **cloud.env).stdout)["counts"]
    assert (diff["created"], diff["vanished"]) == (10, 0)
    proof = syncer("prove", known, *at, **cloud.env)
    assert proof.returncode == 0, proof.stderr
    pruned = syncer("prune", "--keep-last", "1", *at, "--state-dir", str(tmp_path / "state"), **cloud.env)
    assert pruned.returncode == 0, pruned.stderr
    assert ids(cloud, destination) == [second["snapshot_id"]]
    expect_verified(cloud, destination)


def test_the_same_users_give_the_same_files_in_a_bucket_as_on_a_disk(
    service: Emulator, s3: clouds.Cloud, tmp_path: Path
) -> None:
    export(service, s3, f"{s3.uri}/same", tmp_path / "a", *BOTH)
    export(service, s3, str(tmp_path / "disk"), tmp_path / "b", *BOTH)
    done = syncer("snapshots", "--destination", f"{s3.uri}/same", **s3.env)
    assert (clouds.CANARY in done.stdout + done.stderr, done.returncode) == (False, 0)
    assert facts(s3, f"{s3.uri}/same", tmp_path) == [
        (entry["bytes"], entry["sha256"])
        for path in (tmp_path / "disk").glob("snapshots/*/*/manifest.json")
        for entry in json.loads(path.read_bytes())["files"]
    ]


def facts(cloud: clouds.Cloud, destination: str, folder: Path) -> list[tuple[int, str]]:
    """Sizes and hashes of the newest snapshot's files, from its manifest, by a client that is not the program's."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=cloud.endpoint, region_name="us-east-1",
        aws_access_key_id="AKIDTEST", aws_secret_access_key=clouds.CANARY,
    )  # fmt: skip
    prefix = destination.partition(f"{clouds.BUCKET}/")[2]
    pointer = json.load(
        client.get_object(Bucket=clouds.BUCKET, Key=f"{prefix}/snapshots/{ACCOUNT}/latest.json")["Body"]
    )
    manifest = json.load(client.get_object(Bucket=clouds.BUCKET, Key=f"{prefix}/{pointer['manifest']}")["Body"])
    for entry in manifest["files"]:
        assert (
            client.head_object(Bucket=clouds.BUCKET, Key=f"{prefix}/{entry['path']}")["ContentLength"] == entry["bytes"]
        )
    listed = client.list_objects_v2(Bucket=clouds.BUCKET, Prefix=f"{prefix}/.staging/")
    assert listed["KeyCount"] == 0
    return [(entry["bytes"], entry["sha256"]) for entry in manifest["files"]]


def test_a_snapshot_in_a_bucket_is_loaded_into_a_database(
    service: Emulator, cloud: clouds.Cloud, tmp_path: Path
) -> None:
    import duckdb

    destination = f"{cloud.uri}/load"
    snapshot = export(service, cloud, destination, tmp_path / "state")
    target = ("load", f"duckdb:///{tmp_path}/users.db", "--destination", destination, "--json")
    done = [syncer(*target, **cloud.env) for _ in range(2)]
    assert [one.returncode for one in done] == [0, 0], done
    told = [json.loads(one.stdout) for one in done]
    assert [(t["snapshot_id"], t["users"], t["changed"]) for t in told] == [
        (snapshot["snapshot_id"], 3000, True),
        (snapshot["snapshot_id"], 3000, False),
    ]
    with duckdb.connect(f"{tmp_path}/users.db") as connection:
        found = connection.execute("SELECT id FROM users ORDER BY id").fetchall()
    assert found == [(user["id"],) for user in service.truth()]
    refused = syncer("load", f"delta:{tmp_path}/delta", "--destination", destination, **cloud.env)
    assert (refused.returncode, "a Delta table takes parts from a local disk" in refused.stderr) == (2, True)
    if destination.startswith("az://"):
        names = {"PYICEBERG_CATALOG__LAKE__URI": f"sqlite:///{tmp_path}/catalog.db"}
        refused = syncer("load", "iceberg:lake.crm.users", "--destination", destination, **cloud.env, **names)
        assert (refused.returncode, "Iceberg's readers do not know az://" in refused.stderr) == (2, True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
def test_an_iceberg_table_registers_the_parts_where_they_lie_in_the_bucket(
    service: Emulator, s3: clouds.Cloud, tmp_path: Path
) -> None:
    from pyiceberg.catalog import load_catalog

    destination = f"{s3.uri}/iceberg"
    export(service, s3, destination, tmp_path / "state")
    settings = {
        "type": "sql",
        "uri": f"sqlite:///{tmp_path}/catalog.db",
        "warehouse": f"s3://{clouds.BUCKET}/tables",
        "s3.endpoint": s3.endpoint,
        "s3.access-key-id": s3.env["AWS_ACCESS_KEY_ID"],
        "s3.secret-access-key": s3.env["AWS_SECRET_ACCESS_KEY"],
        "s3.region": s3.env["AWS_REGION"],
    }
    names = {f"PYICEBERG_CATALOG__LAKE__{name.upper().replace('.', '__')}": value for name, value in settings.items()}
    done = syncer("load", "iceberg:lake.crm.users", "--destination", destination, **s3.env, **names)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    table = load_catalog("lake", **settings).load_table("crm.users")
    files = [task.file.file_path for task in table.scan().plan_files()]
    assert [path.startswith(f"{destination}/parquet/account_sid=") for path in files] == [True]
    found = table.scan(selected_fields=("id",)).to_arrow().column("id").to_pylist()
    assert sorted(found) == [user["id"] for user in service.truth()]


def test_of_two_writers_to_one_destination_one_wins_and_the_other_says_why(
    service: Emulator, s3: clouds.Cloud, tmp_path: Path
) -> None:
    destination = f"{s3.uri}/two"
    with fault_proxy(s3.endpoint) as proxy:
        manifests = [0]

        def hold_back(number: int, method: str, path: str) -> Any:
            """The slow writer's first part waits until the other one has committed."""
            if method == "PUT" and "part-00000" in path and not manifests[0]:
                manifests[0] = 1
                done = syncer(*flags(service, destination, tmp_path / "fast"), **s3.env)
                manifests.append(done.returncode)
            return "pass"

        proxy.choose = hold_back
        slow = syncer(*flags(service, destination, tmp_path / "slow"), **clouds.s3_env(proxy.endpoint))
    assert (slow.returncode, manifests) == (5, [1, 0])
    winner = ids(s3, destination)
    assert len(winner) == 1
    assert f"another run published the snapshot {winner[0]} of account {SID} while this one was at work" in slow.stderr
    expect_verified(s3, destination)
    again = export(service, s3, destination, tmp_path / "slow")
    assert ids(s3, destination) == sorted([*winner, again["snapshot_id"]])
    expect_verified(s3, destination)


def test_two_writers_at_the_same_time_leave_whole_snapshots(
    service: Emulator, s3: clouds.Cloud, tmp_path: Path
) -> None:
    destination = f"{s3.uri}/race"
    running = [start_syncer(*flags(service, destination, tmp_path / str(n)), **s3.env) for n in range(3)]
    ended = sorted([finish(process) for process in running])
    found = ids(s3, destination)
    assert len(found) == sum(code == 0 for code, _ in ended)
    assert len(found) >= 1
    assert {code for code, _ in ended} <= {0, 5, 7}
    for name in found:
        expect_verified(s3, destination, name)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.fixture
def proxy(s3: clouds.Cloud) -> Iterator[FaultProxy]:
    with fault_proxy(s3.endpoint) as running:
        yield running


@pytest.mark.parametrize(
    "held", [r"PUT .*part-00000", r"PUT .*_SUCCESS", r"PUT .*pages", r"PUT .*manifest", r"PUT .*latest"]
)
def test_an_upload_that_is_killed_leaves_the_old_snapshot_and_the_next_run_finishes(
    service: Emulator, s3: clouds.Cloud, proxy: FaultProxy, tmp_path: Path, held: str
) -> None:
    destination = f"{s3.uri}/killed-{abs(hash(held))}"
    old = export(service, s3, destination, tmp_path / "state")
    proxy.choose = lambda number, method, path: "hold" if re.match(held, f"{method} {path}") else "pass"
    process = start_syncer(*flags(service, destination, tmp_path / "state"), **clouds.s3_env(proxy.endpoint))
    assert proxy.held.wait(30)
    process.send_signal(signal.SIGKILL)
    finish(process)
    committed = "latest" in held
    assert len(ids(s3, destination)) == 1 + committed
    expect_verified(s3, destination)
    new = export(service, s3, destination, tmp_path / "state")
    assert ids(s3, destination)[0] == old["snapshot_id"]
    assert ids(s3, destination)[-1] == new["snapshot_id"]
    expect_verified(s3, destination)


def download(cloud: clouds.Cloud, prefix: str, folder: Path) -> None:
    """Every object below a prefix, whatever it is."""
    store = S3Store(
        clouds.BUCKET, endpoint=cloud.endpoint, region="us-east-1", access_key_id="AKIDTEST",
        secret_access_key=clouds.CANARY, client_options={"allow_http": True},
    )  # fmt: skip
    for objects in store.list(prefix):
        for one in objects:
            path = folder / one["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.get(one["path"]).bytes())


@pytest.mark.parametrize("held", [None, r"PUT .*manifest", r"PUT .*latest", r"(POST|DELETE) .*"])
def test_an_erasure_in_a_bucket_leaves_no_trace_also_after_a_kill(
    s3: clouds.Cloud, proxy: FaultProxy, tmp_path: Path, held: str | None
) -> None:
    prefix = f"erased-{abs(hash(held))}"
    destination = f"{s3.uri}/{prefix}"
    at = ("--destination", destination, "--state-dir", str(tmp_path / "state"))
    small = (*BOTH, "--page-size", "30", "--changes")
    with emulator("--users", "200", "--seed", "9") as service:
        users = [user["id"] for user in service.truth()]
        export(service, s3, destination, tmp_path / "state", *small)
        service.change(create=3)
        export(service, s3, destination, tmp_path / "state", *small)
        gone = [users[i] for i in (0, 29, 30, 77, 199)]
        download(s3, f"nightly/{prefix}", tmp_path / "before")
        assert len(found(tmp_path / "before", gone)) > 6
        if held:
            proxy.choose = lambda number, method, path: "hold" if re.match(held, f"{method} {path}") else "pass"
            process = start_syncer("erase", *gone, "--yes", *at, **clouds.s3_env(proxy.endpoint))
            assert proxy.held.wait(30)
            process.send_signal(signal.SIGKILL)
            finish(process)
            assert 2 <= len(ids(s3, destination)) <= 3
            for snapshot in ids(s3, destination):
                expect_verified(s3, destination, snapshot)
        done = syncer("erase", *gone, "--yes", *at, **s3.env)
        assert done.returncode == 0, done.stderr
        last = export(service, s3, destination, tmp_path / "state", *small)
    assert last["users"] == 198
    assert len(ids(s3, destination)) == 3
    for snapshot in ids(s3, destination):
        expect_verified(s3, destination, snapshot)
    download(s3, f"nightly/{prefix}", tmp_path / "after")
    assert found(tmp_path / "after", gone) == []
    assert found(tmp_path / "state", gone) == []


def test_a_bucket_that_answers_no_more_ends_the_run_with_6_and_what_was_fetched_is_kept(
    service: Emulator, s3: clouds.Cloud, proxy: FaultProxy, tmp_path: Path
) -> None:
    destination = f"{s3.uri}/refused"
    proxy.choose = lambda number, method, path: 403 if method == "PUT" and "part-" in path else "pass"
    started = time.monotonic()
    done = syncer(*flags(service, destination, tmp_path / "state"), **clouds.s3_env(proxy.endpoint))
    assert (done.returncode, time.monotonic() - started < 20) == (6, True)
    assert re.search(r"part-00000.parquet cannot be written: access denied; check the credentials", done.stderr)
    assert ids(s3, destination) == []
    asked = len(service.lists())
    assert export(service, s3, destination, tmp_path / "state")["users"] == 3000
    assert len(service.lists()) - asked <= 3


IMPATIENT = """
import sys
from syncer.commands import interrupts, main
interrupts.STOP_SECONDS = 1.0
sys.exit(main.main(sys.argv[1:]))
"""


def test_a_signal_ends_a_run_whose_bucket_does_not_answer(
    service: Emulator, s3: clouds.Cloud, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.choose = lambda number, method, path: "hold" if "part-" in path else "pass"
    command = [sys.executable, "-c", IMPATIENT, *flags(service, f"{s3.uri}/hang", tmp_path / "state")]
    env = environment(**clouds.s3_env(proxy.endpoint))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    assert proxy.held.wait(30)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert (finish(process)[0], time.monotonic() - started < 6) == (143, True)


@pytest.mark.parametrize(
    ("destination", "env", "code", "sentence"),
    [
        ("s3://nothere/x", {}, 6, "s3://nothere/x/snapshots cannot be listed: the bucket or container does not exist"),
        ("s3://exports/x", {"AWS_ENDPOINT_URL": "http://192.0.2.1"}, 2, "AWS_ENDPOINT_URL is not https"),
        ("s3://key:secret@exports/x", {}, 2, "credentials come from the environment"),
        ("az://exports/x", {}, 2, "az://exports/x needs an account"),
        ("s3://exports/x", {"AWS_PROFILE": "none", "AWS_ACCESS_KEY_ID": ""}, 2, "the profile that AWS_PROFILE names"),
    ],
)
def test_a_destination_that_cannot_work_is_one_sentence(
    s3: clouds.Cloud, destination: str, env: dict[str, str], code: int, sentence: str
) -> None:
    done = syncer("snapshots", "--destination", destination, **{**s3.env, **env})
    assert (done.returncode, done.stdout, sentence in done.stderr) == (code, "", True), done.stderr
    assert clouds.CANARY not in done.stderr


def test_a_local_export_does_not_load_the_object_stores_library(service: Emulator, tmp_path: Path) -> None:
    program = (
        "import sys; from syncer.commands.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print('obstore' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, *flags(service, str(tmp_path / "exports"), tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())
    assert done.stderr.splitlines()[-1] == "False"
    assert json.loads(done.stdout)["failed"] == []
