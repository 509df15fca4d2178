"""A PostgreSQL database to load into, through ADBC's binary COPY.

What the driver says may hold the URI it was given: only a server's own first line, freed of passwords, is told.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import adbc_driver_manager.dbapi
import adbc_driver_postgresql.dbapi as adbc

from syncer.errors import CredentialsRefused, GaveUp, LockHeld, StorageFailed, SyncerError, UsageError
from syncer.load.source import Source
from syncer.load.statements import Piece, Statements, literal, quoted
from syncer.load.stream import Stream
from syncer.load.target import Mode, TableName, Target

_log = logging.getLogger(__name__)
CONNECT_SECONDS = 10
OTHER_LOAD_SECONDS = 10
"""How long a load waits for another one of the same table; a killed one ends within this as a rule."""
SWAP_WAIT_SECONDS = 2
"""How long a swap waits for readers that hold the table; new readers queue behind it meanwhile."""
SWAP_ATTEMPTS = 15
SWAP_PAUSE_SECONDS = 1.0
OLD_READERS_SECONDS = 30.0
"""How long a swap waits for transactions that are older than the rows it brings."""
_LOGIN_SIGNS = ("authentication failed", "no password supplied", "pg_hba.conf", 'role "')
_HEAD = re.compile(r"^.*?(?:(?:ERROR|FATAL):\s+(?=\S)|Failed to connect: (?!.*FATAL:))", re.S)
"""What the driver puts before the words of server and libpq: its own words, and the whole statement."""
_NAMED = {
    "42501": (CredentialsRefused, "grant this role what docs/warehouse.md lists"),
    "53100": (StorageFailed, "make room on the server and run again"),
    "57014": (GaveUp, "give a longer --deadline"),
    "55P03": (GaveUp, "run again when nobody holds the table"),
}


@contextmanager
def open_postgres(target: Target, *, deadline_seconds: float) -> Iterator[PostgresDatabase]:
    """Connect. No statement may take longer than ``deadline_seconds``. Raises GaveUp, CredentialsRefused."""
    with _own_signals():
        with _errors(target, connecting=True):
            connection: Any = adbc.connect(_bounded(target.location))
        try:
            yield PostgresDatabase(connection, target, deadline_seconds)
        finally:
            with suppress(adbc_driver_manager.Error):
                connection.close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """ADBC takes SIGINT for itself while it waits for a server: it asks that to cancel the statement, for as long as it
    takes, and tells of a statement that failed. Here Ctrl-C is for the command, as every other signal."""
    module: Any = adbc_driver_manager.dbapi
    theirs = getattr(module, "_blocking_call", None)
    module._blocking_call = lambda call, args, kwargs, cancel: call(*args, **kwargs)  # noqa: ARG005
    try:
        yield
    finally:
        module._blocking_call = theirs


def _bounded(uri: str) -> str:
    """With a limit for connecting, and for noticing that a server has gone; what the URI itself says stays."""
    limits = {"connect_timeout": CONNECT_SECONDS, "keepalives_idle": 30, "tcp_user_timeout": 60_000}
    more = "&".join(f"{name}={value}" for name, value in limits.items() if f"{name}=" not in uri)
    return uri + ("&" if "?" in uri else "?") + more if more else uri


class PostgresDatabase:
    """A connection, and one transaction at a time on it."""

    collation = ' COLLATE "C"'

    def __init__(self, connection: Any, target: Target, deadline_seconds: float) -> None:
        self._connection = connection
        self._target = target
        self._deadline_milliseconds = max(1, round(deadline_seconds * 1000))

    @contextmanager
    def lock(self, table: TableName) -> Iterator[None]:
        """Until the connection ends: a killed load holds nothing once the server has noticed."""
        name = literal(f"syncer load {table}")
        for _ in range(OTHER_LOAD_SECONDS):
            with self.transaction():
                if self.rows(f"SELECT pg_try_advisory_lock(hashtextextended({name}, 0))")[0][0]:
                    break
            time.sleep(1)
        else:
            raise LockHeld(f"another load of {table} is at work", hint="wait for it, then run again")
        yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            self.run(f"SET LOCAL statement_timeout = {self._deadline_milliseconds}")
            yield
        except BaseException:
            with suppress(adbc_driver_manager.Error):
                self._connection.rollback()
            raise
        with _errors(self._target):
            self._connection.commit()

    def schema(self) -> str:
        found = self.rows("SELECT current_schema()")[0][0]
        if found is None:
            raise UsageError("the role has no schema to make tables in", hint="give --table SCHEMA.NAME")
        return str(found)

    def run(self, sql: str) -> None:
        with _errors(self._target), self._connection.cursor() as cursor:
            cursor.execute(sql)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with _errors(self._target), self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def ingest(self, table: TableName, stream: Stream) -> None:
        try:
            with _errors(self._target), self._connection.cursor() as cursor:
                cursor.adbc_ingest(table.name, stream.reader, mode="append", db_schema_name=table.schema)
        except SyncerError:
            stream.raise_failure()
            raise

    def has_key(self, mode: Mode, source: Source) -> bool:  # noqa: ARG002 - always
        self.run("SET LOCAL maintenance_work_mem = '256MB'")
        return True

    def pieces(self, statements: Statements, source: Source) -> list[Piece]:  # noqa: ARG002 - it keeps to work_mem
        return [(None, None)]

    def check_swap(self, table: TableName) -> None:
        """Row security above all: without it a table is open."""
        lost = self.rows(
            "SELECT concat_ws(', ', CASE WHEN relrowsecurity THEN 'row security' END, "
            "CASE WHEN EXISTS (SELECT 1 FROM pg_index WHERE indrelid = c.oid AND NOT indisprimary) THEN 'indexes' END, "
            "CASE WHEN EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal) THEN 'triggers' END"
            ", CASE WHEN EXISTS (SELECT 1 FROM pg_depend WHERE refclassid = 'pg_class'::regclass AND refobjid = c.oid "
            "AND deptype = 'n') THEN 'views or foreign keys' END) "
            f"FROM pg_class AS c WHERE c.oid = {literal(quoted(table))}::regclass"
        )[0][0]
        if lost:
            raise UsageError(f"{table} has {lost}, which a swap would drop", hint="give --keep-table")

    def may_swap(self, statements: Statements) -> bool:
        """Two kinds of readers are waited for: transactions that began before the stage was committed, which would
        find the new table empty, and those that hold the table."""
        if self._old_readers_end() and self._lock_out_readers(statements.table):
            return True
        _log.info("%s is in use by long transactions: its rows are replaced, not the table", statements.table)
        return False

    def swap(self, statements: Statements) -> None:
        table, stage = statements.table, statements.stage
        if self.rows(f"SELECT to_regclass({literal(quoted(table))}) IS NOT NULL")[0][0]:
            self._copy_privileges(table, stage)
        for sql in statements.swap():
            self.run(sql)
        self.run(f'ALTER INDEX IF EXISTS "{table.schema}"."{stage.name}_pkey" RENAME TO "{table.name}_pkey"')

    def _old_readers_end(self) -> bool:
        """Every transaction holds a lock on its own virtual id, which everybody may see."""
        running = (
            "SELECT l.virtualxid FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE l.virtualxid IS NOT "
            "NULL AND l.granted AND pid <> pg_backend_pid() AND a.datname = current_database()"
        )
        old = set(self.rows(running))
        until = time.monotonic() + OLD_READERS_SECONDS
        while old and time.monotonic() < until:
            time.sleep(0.01)
            old &= set(self.rows(running))
        return not old

    def _lock_out_readers(self, table: TableName) -> bool:
        """Wait a little for readers, let others pass, and try again: nobody waits long behind a waiting swap."""
        # A failed statement ends a transaction for ADBC, savepoint or not: the failure is caught on the server.
        attempt = (
            f"DO $$ BEGIN LOCK TABLE {quoted(table)} IN ACCESS EXCLUSIVE MODE; "
            "PERFORM set_config('syncer.swap', 'locked', true); EXCEPTION WHEN lock_not_available THEN "
            "PERFORM set_config('syncer.swap', 'held', true); END $$"
        )
        self.run(f"SET LOCAL lock_timeout = '{SWAP_WAIT_SECONDS}s'")
        for _ in range(SWAP_ATTEMPTS):
            self.run(attempt)
            if self.rows("SELECT current_setting('syncer.swap')") == [("locked",)]:
                return True
            time.sleep(SWAP_PAUSE_SECONDS)
        self.run("SET LOCAL lock_timeout = 0")
        return False

    def _copy_privileges(self, table: TableName, stage: TableName) -> None:
        grants = self.rows(
            f"SELECT format('GRANT %s ON %s TO %s%s', privilege_type, {literal(quoted(stage))}, "
            "CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, "
            "CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) FROM pg_class, aclexplode(relacl) "
            f"WHERE oid = {literal(quoted(table))}::regclass AND grantee <> relowner ORDER BY 1"
        )
        for (grant,) in grants:
            self.run(str(grant))


@contextmanager
def _errors(target: Target, *, connecting: bool = False) -> Iterator[None]:
    try:
        yield
    except adbc_driver_manager.Error as error:
        raise _ours(error, target, connecting=connecting) from None


def _ours(error: Any, target: Target, *, connecting: bool) -> SyncerError:
    state, text = error.sqlstate or "", _told(str(error), target)
    if state.startswith("28") or (connecting and any(sign in text for sign in _LOGIN_SIGNS)):
        return CredentialsRefused(f"PostgreSQL refused the login{_after(text)}", hint="see PGPASSWORD and ~/.pgpass")
    if connecting and ("invalid" in text or "does not exist" in text or not text):
        return UsageError(f"TARGET cannot be used{_after(text)}", hint="write postgresql://USER@HOST/DATABASE")
    if connecting or state.startswith(("08", "57P")) or "server closed the connection" in text:
        return GaveUp(f"PostgreSQL cannot be reached{_after(text)}", hint="the table is as it was; run again")
    kind, hint = _NAMED.get(state, (StorageFailed, "the table is as it was"))
    return kind(f"PostgreSQL refused a statement{_after(text)}", hint=hint)


def _told(text: str, target: Target) -> str:
    """What the server said, on one line; nothing at all when a password, or the URI itself, may be in it."""
    told = _HEAD.sub("", text.strip()).partition("\n")[0].strip()[:300]
    return "" if "://" in told or any(secret in told for secret in target.secrets) else told


def _after(text: str) -> str:
    return f": {text}" if text else ""
