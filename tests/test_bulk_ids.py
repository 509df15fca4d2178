"""Ids from arguments, lines, NDJSON and Parquet; what is not an id is listed and nothing is done."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncer.bulk.ids import Chosen, Given, choose, is_user_id, of_arguments, of_file, of_lines, of_stream
from syncer.errors import UsageError

A = "comms_pushnotificationuser_01h9krwprkeee8fzqspvwy6nq8"
B = "comms_pushnotificationuser_01h9krwprkeee8fzqspvwy6nq9"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (A, True),
        (A + "x" * 9, True),
        (A + "x" * 10, False),
        (A[:-1], False),
        (A.replace("_01", "_81"), False),
        (A[:-1] + "i", False),
        (A[:-1] + "U", False),
        (A + "\n", False),
        (A + "/..", False),
        ("", False),
    ],
)
def test_an_id_has_the_documented_form(text: str, expected: bool) -> None:
    assert is_user_id(text) is expected


def test_each_id_is_chosen_once_in_the_order_given() -> None:
    assert choose(of_arguments([B, A, B, B])) == Chosen((B, A), 2)


def test_everything_that_is_no_id_is_listed() -> None:
    with pytest.raises(UsageError) as caught:
        choose([Given("x", "line 1 of f"), Given(A, "line 2 of f"), Given("y" * 90 + "\x1b", "line 3 of f")])
    assert caught.value.message == (
        "of 3 ids given, 2 are not user ids, and nothing was sent:\n"
        f"  'x' (line 1 of f)\n  '{'y' * 80}...' (line 3 of f)"
    )


def test_lines_are_ids_or_objects_with_an_id() -> None:
    lines = [b"\xef\xbb\xbf" + A.encode(), b"", b"# a comment", b'{"id":"%s","createdAt":"x"}\r\n' % B.encode()]
    assert list(of_lines(lines, "f")) == [Given(A, "line 1 of f"), Given(B, "line 4 of f")]


@pytest.mark.parametrize("line", [b'{"id": 7}', b"{not json", b'{"name": "x"}', b"\xff\xfe"])
def test_a_line_without_an_id_is_refused_with_its_place(line: bytes) -> None:
    with pytest.raises(UsageError, match=r"line 1 of f"):
        choose(of_lines([line], "f"))


def test_a_parquet_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    pq.write_table(pa.table({"n": [1, 2], "id": [B, A]}), path)
    assert list(of_file(path)) == [Given(B, "row 1 of ids"), Given(A, "row 2 of ids")]


@pytest.mark.parametrize("form", ["lines", "ndjson", "parquet"])
def test_a_pipe_may_hold_whatever_a_file_may(form: str) -> None:
    table = BytesIO()
    pq.write_table(pa.table({"id": [B, A]}), table)
    content = {
        "lines": f"{B}\n{A}\n".encode(),
        "ndjson": f'{{"id":"{B}"}}\n{{"id":"{A}"}}\n'.encode(),
        "parquet": table.getvalue(),
    }
    reader, writer = os.pipe()
    os.write(writer, content[form])
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert [one.text for one in of_stream(pipe, "standard input")] == [B, A]


def test_a_parquet_file_without_ids_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"n": [1]}), path)
    with pytest.raises(UsageError, match="no column id"):
        list(of_file(path))


def test_a_file_that_is_not_there_is_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        list(of_file(tmp_path / "none"))
