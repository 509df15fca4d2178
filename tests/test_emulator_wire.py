"""What the faults put on the wire, read from a bare socket."""

import gzip
import zlib

import orjson
import pytest

from syncer.emulator.faults import parse_fault
from syncer.emulator.frames import LONG_HEADER_BYTES
from tests.emulator_client import Client, client


def split(received: bytes) -> tuple[bytes, bytes]:
    head, _, body = received.partition(b"\r\n\r\n")
    return head.lower(), body


async def broken(fault: str, wait_seconds: float = 5.0) -> tuple[bytes, bytes, Client]:
    async with client(users=100, fault=((parse_fault(fault), 1.0),)) as one:
        head, body = split(await one.raw(wait_seconds=wait_seconds))
        return head, body, one


async def whole() -> bytes:
    async with client(users=100) as one:
        return (await one.page()).body


def length_of(head: bytes) -> int:
    return int(head.split(b"content-length: ")[1].split(b"\r\n")[0])


async def test_reset_closes_before_an_answer() -> None:
    head, body, one = await broken("reset")
    assert (head, body) == (b"", b"")
    assert [(entry.status, entry.fault) for entry in one.emulator.log] == [(None, "reset")]


async def test_cut_ends_before_its_length() -> None:
    head, body, _ = await broken("cut")
    assert length_of(head) == len(await whole()) == 2 * len(body) + length_of(head) % 2
    assert (await whole()).startswith(body)


async def test_cut_ends_after_the_bytes_asked_for_but_never_at_the_end() -> None:
    assert len((await broken("cut:17"))[1]) == 17
    assert len((await broken("cut:9999999"))[1]) == len(await whole()) - 1


async def test_cut_chunked_lacks_the_last_chunk() -> None:
    head, body, _ = await broken("cut-chunked")
    assert b"transfer-encoding: chunked" in head
    size, _, rest = body.partition(b"\r\n")
    assert rest == (await whole())[: int(size, 16)] + b"\r\n"


async def test_cut_close_has_no_length_to_compare_with() -> None:
    head, body, _ = await broken("cut-close")
    assert b"content-length" not in head
    assert b"chunked" not in head
    assert body == (await whole())[: len(body)] != await whole()


async def test_gzip_cut_is_framed_well_and_ends_within_the_stream() -> None:
    head, body, _ = await broken("gzip-cut")
    assert length_of(head) == len(body)
    assert b"content-encoding: gzip" in head
    unpacker = zlib.decompressobj(31)
    assert (await whole()).startswith(unpacker.decompress(body))
    assert not unpacker.eof


async def test_gzip_crc_is_whole_but_for_its_checksum() -> None:
    head, body, _ = await broken("gzip-crc")
    assert length_of(head) == len(body)
    assert zlib.decompressobj(-15).decompress(body[10:]) == await whole()
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(body)


async def test_lengths_that_contradict_each_other() -> None:
    head, body, _ = await broken("two-lengths")
    assert (head.count(b"content-length: "), body) == (2, await whole())
    head, body, _ = await broken("length-and-chunked")
    assert b"content-length: %d\r\ntransfer-encoding: chunked" % len(await whole()) in head
    assert body.endswith(b"\r\n0\r\n\r\n")


async def test_a_long_header_is_longer_than_any_client_reads() -> None:
    head, body, _ = await broken("long-header")
    assert len(head) > LONG_HEADER_BYTES
    assert body == await whole()


async def test_drip_head_never_comes_to_the_body() -> None:
    head, body, one = await broken("drip-head:0.001", wait_seconds=0.3)
    assert head.count(b"x-") > 20
    assert (body, one.emulator.log[0].bytes) == (b"", 0)


async def test_drip_sends_a_byte_now_and_then() -> None:
    head, body, _ = await broken("drip:0.02", wait_seconds=0.5)
    assert length_of(head) == len(await whole())
    assert 3 <= len(body) <= 26


async def test_drip_ends_with_the_whole_body() -> None:
    assert (await broken("drip:0"))[1] == await whole()


async def test_stall_sends_nothing_and_leaves_no_request_behind() -> None:
    head, body, one = await broken("stall", wait_seconds=0.2)
    assert (head, body) == (b"", b"")
    assert (one.emulator.stats["active"], one.emulator.stats["by_status"]) == (0, {"none": 1})


async def test_stall_and_stall_body_end_after_their_argument() -> None:
    assert (await broken("stall:0.05"))[:2] == (b"", b"")
    head, body, _ = await broken("stall-body:0.05")
    assert 0 < len(body) < length_of(head)


async def test_stall_body_stops_half_way() -> None:
    head, body, _ = await broken("stall-body", wait_seconds=0.2)
    assert len(body) == length_of(head) // 2


async def test_huge_sends_as_many_mebibytes_as_asked() -> None:
    _, body, one = await broken("huge:3")
    assert len(body) > 3 << 20
    assert one.emulator.log[0].bytes == len(body)


async def test_huge_ends_when_the_client_leaves() -> None:
    async with client(users=10, fault=((parse_fault("huge"), 1.0),)) as one:
        await one.raw(wait_seconds=0.1)
        await one.control("GET", "stats")
        assert one.emulator.journal.active == 0


async def test_a_bomb_is_small_on_the_wire_and_large_unpacked() -> None:
    head, body, _ = await broken("bomb:64")
    assert b"content-encoding: gzip" in head
    assert len(body) < 100_000
    assert zlib.decompressobj(31).decompress(body) == b" " * (64 << 20)


async def test_a_redirect_leads_to_another_host_name() -> None:
    head, body, one = await broken("redirect", wait_seconds=0.2)
    port = one.emulator.origin.rpartition(":")[2].encode()
    assert head.startswith(b"http/1.1 302")
    assert b"location: http://localhost:" + port + b"/v1/pushnotifications/users" in head
    assert body == b""
    assert one.emulator.log[0].status == 302


async def test_a_redirect_leads_where_asked() -> None:
    async with client(fault=((parse_fault("redirect:https://example.org/x"), 1.0),)) as one:
        assert (await one.page()).headers["Location"] == "https://example.org/x"


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [("html200", 200, "text/html"), ("empty200", 200, "application/json"), ("wrong-type", 200, "text/plain")],
)
async def test_bodies_of_a_wrong_kind(fault: str, status: int, content_type: str) -> None:
    async with client(users=100, fault=((parse_fault(fault), 1.0),)) as one:
        got = await one.page()
        assert (got.status, got.headers["Content-Type"]) == (status, content_type)
        expected = {"empty200": b"", "wrong-type": await whole()}
        assert got.body == expected.get(fault, got.body)
        assert fault != "html200" or b"<html>" in got.body


async def test_broken_json_does_not_parse() -> None:
    async with client(users=100, fault=((parse_fault("json-broken"), 1.0),)) as one:
        with pytest.raises(orjson.JSONDecodeError):
            _ = (await one.page()).json


async def test_a_bad_encoding_is_named_but_not_applied() -> None:
    head, body, _ = await broken("bad-encoding", wait_seconds=0.2)
    assert b"content-encoding: snappy" in head
    assert body == await whole()


@pytest.mark.parametrize("compress", ["none", "gzip"])
async def test_bodies_are_compressed_where_asked_and_accepted(compress: str) -> None:
    async with client(users=100, compress=compress) as one:
        got = await one.page()
        assert got.headers.get("Content-Encoding") == (None if compress == "none" else "gzip")
        assert got.body == await whole()
        assert b"content-encoding" not in split(await one.raw(wait_seconds=0.1))[0]


def test_gzip_is_a_plain_member() -> None:
    from syncer.emulator.frames import gzipped

    assert gzip.decompress(gzipped(b"abc" * 100)) == b"abc" * 100
