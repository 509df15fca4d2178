"""Loading into a real PostgreSQL server, with readers that look all the time, and with loads that are killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import pytest

from syncer.errors import CredentialsRefused, GaveUp, LockHeld, SnapshotMismatch, StorageFailed, SyncerError, UsageError
from syncer.load import into_postgres
from syncer.load.into_postgres import open_postgres
from syncer.load.source import Loaded, Source
from syncer.load.tables import How, load_table
from syncer.load.target import Mode, parse_table, parse_target
from tests.loaded_data import FIRST, SECOND, THIRD, publish_users, user_id
from tests.postgres_cluster import Cluster, postgres_cluster
from tests.processes import start_syncer, syncer
from tests.test_load_into_duckdb import expected, source

USERS = 100_000
ROWS = (
    "SELECT id, (extract(epoch FROM created_at) * 1000000)::bigint, (extract(epoch FROM updated_at) * 1000000)::bigint,"
    " (extract(epoch FROM deleted_at) * 1000000)::bigint, extra FROM users ORDER BY id"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres_cluster() as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(cluster: Cluster) -> None:
    cluster.query("DROP SCHEMA public CASCADE")
    cluster.query("CREATE SCHEMA public")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three snapshots: a small one, a large one, and one that is larger still."""
    folder = tmp_path_factory.mktemp("exports")
    publish_users(folder, 1000, FIRST)
    publish_users(folder, USERS, SECOND, changed_each=10, formats=("parquet", "ndjson"))
    publish_users(folder, 2 * USERS, THIRD)
    return folder


def load(url: str, snapshot: Source, mode: Mode = "replace", table: str = "users", **how: bool) -> Loaded:
    with open_postgres(parse_target(url), deadline_seconds=60) as database:
        return load_table(database, parse_table(table), snapshot, How(mode, **how))


@dataclass
class Reader:
    """Looks at the table all the time, as a dashboard would."""

    url: str
    seen: set[tuple[Any, ...]] = field(default_factory=set)
    looks: int = 0
    longest_seconds: float = 0.0
    failure: str = ""

    def run(self, stop: threading.Event) -> None:
        with adbc.connect(self.url, autocommit=True) as connection:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT count(*), count(DISTINCT created_at) FROM users")
                        self.seen.add(cursor.fetchone())
                except adbc.Error as error:
                    self.failure = str(error)
                    return
                self.looks += 1
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)

    def __enter__(self) -> Reader:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.run, args=(self._stop,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)


def test_every_row_arrives_with_its_types_and_key(cluster: Cluster) -> None:
    assert load(cluster.url, source(FIRST, 1000)) == Loaded(True, "public.users", 1000)
    assert cluster.query(ROWS) == expected(1000)
    columns = cluster.query(
        "SELECT column_name::text, data_type::text, is_nullable::text, collation_name::text "
        "FROM information_schema.columns WHERE table_name = 'users' ORDER BY ordinal_position"
    )
    assert columns == [
        ("id", "text", "NO", "C"),
        ("created_at", "timestamp with time zone", "NO", None),
        ("updated_at", "timestamp with time zone", "NO", None),
        ("deleted_at", "timestamp with time zone", "YES", None),
        ("extra", "text", "YES", None),
    ]
    key = "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'users'::regclass"
    assert cluster.query(key) == [("users_pkey", "PRIMARY KEY (id)")]
    load(cluster.url, source(SECOND, 500))
    assert cluster.query(key) == [("users_pkey", "PRIMARY KEY (id)")]
    assert cluster.query("SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = "
                         "'public'::regnamespace ORDER BY 1") == [("syncer_loads",), ("users",)]  # fmt: skip


def test_a_reader_sees_the_old_table_or_the_new_one_and_never_waits_long(cluster: Cluster, exports: Path) -> None:
    flags = ["--destination", str(exports), "--json"]
    assert syncer("load", cluster.url, FIRST, *flags).returncode == 0
    with Reader(cluster.url) as reader:
        for snapshot in (SECOND, THIRD):
            looks = reader.looks
            done = syncer("load", cluster.url, snapshot, *flags)
            assert done.returncode == 0, done.stderr
            assert reader.looks > looks
    assert reader.failure == ""
    assert reader.seen <= {(1000, 1000), (USERS, USERS), (2 * USERS, 2 * USERS)}
    assert reader.longest_seconds < 5
    assert json.loads(done.stdout)["users"] == 2 * USERS


def test_what_the_table_holds_is_what_the_snapshot_holds(cluster: Cluster, exports: Path) -> None:
    assert syncer("load", cluster.url, SECOND, "--destination", str(exports)).returncode == 0
    assert cluster.query(ROWS) == expected(USERS, 10)
    again = syncer("load", cluster.url, SECOND, "--destination", str(exports))
    assert again.stdout == f"public.users holds snapshot {SECOND} already: 100,000 users, nothing changed\n"
    older = syncer("load", cluster.url, FIRST, "--destination", str(exports))
    assert (older.returncode, older.stdout) == (5, "")
    assert syncer("load", cluster.url, FIRST, "--destination", str(exports), "--allow-older").returncode == 0
    assert cluster.query("SELECT count(*) FROM users") == [(1000,)]


@pytest.mark.parametrize("instant", ["COPY%", "ALTER TABLE%ADD PRIMARY KEY%"])
def test_a_load_that_is_killed_leaves_the_old_table_and_the_next_one_finishes(
    instant: str, cluster: Cluster, exports: Path
) -> None:
    flags = ["--destination", str(exports)]
    assert syncer("load", cluster.url, FIRST, *flags).returncode == 0
    process = start_syncer("load", cluster.url, THIRD, *flags)
    running = (
        f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '{instant}' "
        "AND pid <> pg_backend_pid()"
    )
    cluster.query("CREATE TABLE users_syncer_stage ()")  # as a load leaves it that is killed before its swap
    with adbc.connect(cluster.url, autocommit=True) as connection, connection.cursor() as cursor:
        while process.poll() is None:
            cursor.execute(running)
            if cursor.fetchone() != (0,):
                process.send_signal(signal.SIGKILL)
                break
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert cluster.query("SELECT count(*) FROM users") == [(1000,)]
    again = syncer("load", cluster.url, THIRD, *flags)
    assert again.returncode == 0, again.stderr
    assert cluster.query("SELECT count(*) FROM users") == [(2 * USERS,)]
    assert cluster.query("SELECT count(*) FROM pg_class WHERE relname LIKE '%stage%'") == [(0,)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_load_and_leaves_the_old_table(
    number: signal.Signals, code: int, cluster: Cluster, exports: Path
) -> None:
    flags = ["--destination", str(exports)]
    assert syncer("load", cluster.url, FIRST, *flags).returncode == 0
    process = start_syncer("load", cluster.url, THIRD, *flags)
    with adbc.connect(cluster.url, autocommit=True) as connection, connection.cursor() as cursor:
        while process.poll() is None:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%' "
                "AND pid <> pg_backend_pid()"
            )
            if cursor.fetchone() != (0,):
                process.send_signal(number)
                break
    process.communicate(timeout=30)
    assert process.returncode == code
    assert cluster.query("SELECT count(*) FROM users") == [(1000,)]


def test_ctrl_c_ends_a_load_whose_server_does_not_answer_any_more(cluster: Cluster, exports: Path) -> None:
    flags = ["--destination", str(exports)]
    assert syncer("load", cluster.url, FIRST, *flags).returncode == 0
    process = start_syncer("load", cluster.url, THIRD, *flags)
    copying = (
        "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%' AND pid <> pg_backend_pid()"
    )
    while not (found := cluster.query(copying)):
        assert process.poll() is None
    server = int(str(found[0][0]))
    os.kill(server, signal.SIGSTOP)
    try:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 130
        assert cluster.query("SELECT count(*) FROM users") == [(1000,)]
    finally:
        os.kill(server, signal.SIGCONT)


def test_versions_and_histories_are_kept(cluster: Cluster) -> None:
    for snapshot, users in ((FIRST, 6), (SECOND, 4), (THIRD, 5)):
        load(cluster.url, source(snapshot, users, 0 if snapshot == FIRST else 3), "scd2", "versions")
        load(cluster.url, source(snapshot, users), "append-history", "history")
    rows = cluster.query(
        "SELECT id, extract(day FROM valid_from)::int, extract(day FROM valid_to)::int, is_current FROM versions "
        "WHERE id IN (SELECT id FROM versions WHERE NOT is_current) ORDER BY 1, 2"
    )
    assert rows == [
        (user_id(0), 21, 22, False),
        (user_id(0), 22, None, True),
        (user_id(3), 21, 22, False),
        (user_id(3), 22, None, True),
        (user_id(4), 21, 22, False),
        (user_id(4), 23, None, True),
        (user_id(5), 21, 22, False),
    ]
    assert cluster.query("SELECT count(*) FROM versions WHERE is_current") == [(5,)]
    assert cluster.query("SELECT snapshot_id, count(*) FROM history GROUP BY 1 ORDER BY 1") == [
        (FIRST, 6),
        (SECOND, 4),
        (THIRD, 5),
    ]


def test_privileges_outlive_a_swap(cluster: Cluster) -> None:
    load(cluster.url, source(FIRST, 3))
    cluster.query("DROP ROLE IF EXISTS analyst")
    cluster.query("CREATE ROLE analyst")
    cluster.query("GRANT SELECT ON users TO analyst")
    cluster.query("GRANT SELECT ON users TO PUBLIC")
    load(cluster.url, source(SECOND, 4))
    assert cluster.query("SELECT has_table_privilege('analyst', 'users', 'SELECT')") == [(True,)]
    acl = cluster.query("SELECT relacl::text FROM pg_class WHERE oid = 'users'::regclass")
    assert "analyst=r/tester" in str(acl)
    assert ",=r/tester" in str(acl)


def test_what_a_swap_would_lose_is_refused_and_keep_table_keeps_it(cluster: Cluster) -> None:
    load(cluster.url, source(FIRST, 3))
    cluster.query("CREATE VIEW living AS SELECT id FROM users WHERE deleted_at IS NULL")
    with pytest.raises(UsageError, match=r"public\.users has views or foreign keys, which a swap would drop; give --"):
        load(cluster.url, source(SECOND, 4))
    assert cluster.query("SELECT count(*) FROM users") == [(3,)]
    assert load(cluster.url, source(SECOND, 4), keep_table=True) == Loaded(True, "public.users", 4)
    assert cluster.query("SELECT count(*) FROM living") == [(3,)]
    cluster.query("DROP VIEW living")
    cluster.query("ALTER TABLE users ENABLE ROW LEVEL SECURITY")
    with pytest.raises(UsageError, match=r"public\.users has row security, which a swap would drop; give --keep-table"):
        load(cluster.url, source(THIRD, 4))


def test_a_swap_that_fails_leaves_the_old_rows_and_no_stage(cluster: Cluster) -> None:
    load(cluster.url, source(FIRST, 3))
    cluster.query("ALTER TABLE users ADD CHECK (id < 'd' AND extra IS DISTINCT FROM '{\"plan\":\"ü''\"}') NOT VALID")
    with pytest.raises(StorageFailed, match='new row for relation "users" violates check constraint'):
        load(cluster.url, source(SECOND, 4), keep_table=True)
    assert cluster.query(ROWS) == expected(3)
    assert cluster.query("SELECT count(*) FROM pg_class WHERE relname LIKE '%stage%'") == [(0,)]


@pytest.mark.parametrize("held", ["SELECT count(*) FROM users", "SELECT 1"])
def test_a_long_transaction_keeps_what_it_saw_and_the_load_goes_on_without_it(
    held: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(into_postgres, "SWAP_ATTEMPTS", 1)
    monkeypatch.setattr(into_postgres, "SWAP_WAIT_SECONDS", 1)
    monkeypatch.setattr(into_postgres, "SWAP_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(into_postgres, "OLD_READERS_SECONDS", 0.2)
    load(cluster.url, source(FIRST, 3))
    with adbc.connect(cluster.url) as connection, connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(held)
        cursor.fetchall()
        assert load(cluster.url, source(SECOND, 4)) == Loaded(True, "public.users", 4)
        cursor.execute("SELECT count(*) FROM users")
        assert cursor.fetchall() == [(3,)]
    assert cluster.query(ROWS) == expected(4)


def test_two_loads_of_one_table_do_not_meet(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(into_postgres, "OTHER_LOAD_SECONDS", 1)
    with open_postgres(parse_target(cluster.url), deadline_seconds=60) as first:
        with first.lock(parse_table("public.users")):
            with pytest.raises(LockHeld, match=r"another load of public\.users is at work"):
                load(cluster.url, source(FIRST, 3))
            assert load(cluster.url, source(FIRST, 3), table="others") == Loaded(True, "public.others", 3)


def test_a_failure_while_reading_keeps_the_old_table_and_its_own_words(cluster: Cluster) -> None:
    def broken() -> Iterator[Any]:
        raise SnapshotMismatch("the part is damaged")
        yield

    load(cluster.url, source(FIRST, 3))
    with pytest.raises(SnapshotMismatch, match="the part is damaged"):
        load(cluster.url, source(SECOND, 3, batches=broken))
    assert cluster.query("SELECT count(*) FROM users") == [(3,)]


@pytest.mark.parametrize(
    ("url", "error", "told"),
    [
        ("postgresql://u:geheim@127.0.0.1:1/db", GaveUp, "PostgreSQL cannot be reached: connection to server at"),
        ("postgresql://u:geheim@127.0.0.1:1/db?geheim=geheim", UsageError, "TARGET cannot be used; write postgresql:"),
        ("postgresql://u:geheim@127.0.0.1:1/db?x=1", UsageError, 'TARGET cannot be used: invalid URI query parameter'),
        ("postgresql://nobody:geheim@/db?host={folder}", CredentialsRefused, "PostgreSQL refused the login: role"),
        ("postgresql://tester:geheim@/nodb?host={folder}", UsageError, 'TARGET cannot be used: database "nodb" does'),
    ],
)  # fmt: skip
def test_what_goes_wrong_with_a_login_is_told_without_its_password(
    url: str, error: type[SyncerError], told: str, cluster: Cluster
) -> None:
    with pytest.raises(error) as caught:
        load(url.replace("{folder}", str(cluster.folder)), source(FIRST, 3))
    assert str(caught.value).startswith(told)
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_role_without_permission_is_told_what_it_lacks(cluster: Cluster) -> None:
    cluster.query("DROP ROLE IF EXISTS reader")
    cluster.query("CREATE ROLE reader LOGIN")
    cluster.query("GRANT USAGE ON SCHEMA public TO reader")
    with pytest.raises(CredentialsRefused, match="permission denied for schema public; grant this role what"):
        load(cluster.url.replace("tester@", "reader@"), source(FIRST, 3))


def test_no_statement_outlasts_the_deadline(cluster: Cluster) -> None:
    with open_postgres(parse_target(cluster.url), deadline_seconds=0.2) as database:
        with pytest.raises(GaveUp, match="canceling statement due to statement timeout; give a longer --deadline"):
            _sleep(database)


def _sleep(database: into_postgres.PostgresDatabase) -> None:
    with database.transaction():
        database.rows("SELECT 1 FROM pg_sleep(20)")


def test_the_server_runs_as_somebody_who_is_not_root(cluster: Cluster) -> None:
    assert os.stat(f"/proc/{cluster.process.pid}").st_uid != 0
