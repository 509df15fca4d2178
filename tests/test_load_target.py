"""What TARGET and --table mean, and that a password in a TARGET is told to nobody."""

from __future__ import annotations

import pytest

from syncer.errors import UsageError
from syncer.load.target import TableName, Target, parse_table, parse_target, without_login


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("duckdb:///a/b.db", Target("duckdb", "a/b.db")),
        ("duckdb:////srv/b.db", Target("duckdb", "/srv/b.db")),
        ("postgresql://h/db", Target("postgresql", "postgresql://h/db")),
        ("postgres://u@h:1,i:2/db?host=/run", Target("postgresql", "postgres://u@h:1,i:2/db?host=/run")),
        ("postgresql://u:a%40b@h/db", Target("postgresql", "postgresql://u:a%40b@h/db", ("a%40b", "a@b"))),
        ("postgresql://h?password=x1&user=u", Target("postgresql", "postgresql://h?password=x1&user=u", ("x1",))),
        ("delta:tables/users", Target("delta", "tables/users")),
        ("delta:s3://bucket/users", Target("delta", "s3://bucket/users")),
        ("iceberg:prod.crm.users", Target("iceberg", "prod.crm.users")),
    ],
)
def test_each_kind_of_target_is_understood(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text", ["", "latest", "duckdb:", "duckdb:///", "duckdb:a.db", "postgresql:db", "mysql://u:geheim@h/db", "delta:",
             "iceberg:users", "iceberg:a.", "iceberg:.b"]
)  # fmt: skip
def test_anything_else_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert str(caught.value) == (
        "TARGET names nothing that can be loaded to; write duckdb:///file.db, postgresql://..., delta:PATH or "
        "iceberg:CATALOG.TABLE"
    )


def test_no_repr_of_a_target_holds_its_password() -> None:
    assert repr(parse_target("postgresql://u:geheim@h/db?sslpassword=auch")) == "Target(kind='postgresql')"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bad: postgresql://u:geheim@h/db", "bad: postgresql://(login)@h/db"),
        ("x://u@h?password=geheim&a=b", "x://(login)@h&a=b"),
        ("no URI: a@b", "no URI: a@b"),
    ],
)
def test_logins_are_left_out_of_what_is_repeated(text: str, shown: str) -> None:
    assert without_login(text) == shown


def test_a_table_may_have_a_schema() -> None:
    assert parse_table("users") == TableName("", "users")
    assert parse_table("crm.users_2") == TableName("crm", "users_2")
    assert [str(parse_table(text)) for text in ("users", "crm.users")] == ["users", "crm.users"]


@pytest.mark.parametrize("text", ["", "a.b.c", "a-b", "1a", "a b", 'a"', "ü", "x" * 41, ".a", "postgresql://u:pw@h"])
def test_a_table_that_would_need_quoting_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--table is not a name of a table; use letters, digits and _"):
        parse_table(text)
