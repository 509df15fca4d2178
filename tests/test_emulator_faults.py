"""Which request meets which fault."""

import pytest

from syncer.emulator.faults import Fault, Faults, Queued, parse_fault, parse_fault_share


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("503=0.5", (Fault("503"), 0.5)),
        ("503:none=1", (Fault("503", "none"), 1.0)),
        ("loop:3=0", (Fault("loop", "3"), 0.0)),
        ("redirect:http://x/?a=b=1", (Fault("redirect", "http://x/?a=b"), 1.0)),
    ],
)
def test_a_share_is_written_kind_argument_share(text: str, expected: tuple[Fault, float]) -> None:
    assert parse_fault_share(text) == expected


@pytest.mark.parametrize(
    "text", ["503", "503=", "503=2", "503=-1", "503=x", "=1", "nothing=1", "200=1", "600=1", "²²²=1"]
)
def test_a_wrong_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse_fault_share(text)


def test_a_fault_knows_its_status_number_and_name() -> None:
    assert (parse_fault("418").status, parse_fault("reset").status) == (418, None)
    assert (parse_fault("drip:0.5").number(3), parse_fault("drip").number(3)) == (0.5, 3)
    assert (str(parse_fault("drip:0.5")), str(parse_fault("drip"))) == ("drip:0.5", "drip")


def picks(faults: Faults, count: int = 400, operation: str = "list") -> list[Fault | None]:
    return [faults.pick(number, operation) for number in range(1, count + 1)]


def test_shares_are_kept_and_fixed_by_the_seed() -> None:
    shares = ((Fault("500"), 0.25), (Fault("reset"), 0.25))
    first = picks(Faults(1, shares))
    assert first == picks(Faults(1, shares)) != picks(Faults(2, shares))
    assert 60 < first.count(Fault("500")) < 140
    assert 40 < first.count(Fault("reset")) < 120
    assert picks(Faults(1)) == [None] * 400


def test_page_faults_meet_only_the_list() -> None:
    faults = Faults(1, ((Fault("null-users"), 1.0), (Fault("500"), 1.0)))
    assert (faults.pick(1, "list"), faults.pick(2, "fetch")) == (Fault("null-users"), Fault("500"))


def test_queued_faults_come_first_in_their_order_and_number() -> None:
    faults = Faults(1)
    faults.queue([Queued(Fault("500"), count=2, at=3), Queued(Fault("429"), operation="delete"), Queued(Fault("loop"))])
    assert len(faults) == 4
    operations = ["fetch", "list", "list", "delete", "delete", "list"]
    assert [faults.pick(n, operation) for n, operation in enumerate(operations, 1)] == [
        None,
        Fault("loop"),
        Fault("500"),
        Fault("500"),
        Fault("429"),
        None,
    ]
    assert len(faults) == 0


def test_waiting_faults_can_be_forgotten() -> None:
    faults = Faults(1)
    faults.queue([Queued(Fault("500"))])
    faults.clear()
    assert faults.pick(1, "list") is None
