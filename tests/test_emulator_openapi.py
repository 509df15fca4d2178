"""The emulator against docs/openapi.yaml, asked by schemathesis; and that schemathesis would notice a deviation."""

import asyncio
import sys
from pathlib import Path

import pytest

from syncer.emulator.faults import parse_fault_share
from tests.emulator_client import ACCOUNT, client

DOCUMENT = Path(__file__).parent.parent / "docs" / "openapi.yaml"
CONFORMANCE = (
    "status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"
)
pytestmark = pytest.mark.slow


async def ask(url: str, folder: Path, *, checks: str, phases: str) -> tuple[int | None, str]:
    """The exit code and the report of one run."""
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", str(DOCUMENT), "--url", url),
        *("--auth", f"{ACCOUNT}:secret", "--checks", checks, "--phases", phases),
        *("--max-examples", "15", "--seed", "1", "--no-color", "--generation-database", "none"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(90):
        report, _ = await started.communicate()
    return started.returncode, report.decode()


async def test_the_emulator_answers_as_the_document_says(tmp_path: Path) -> None:
    async with client(users=300, related="filled", extra_field=True) as one:
        checks = f"not_a_server_error,{CONFORMANCE}"
        code, report = await ask(one.emulator.url, tmp_path, checks=checks, phases="examples,coverage,fuzzing,stateful")
        by_status = one.emulator.stats["by_status"]
    assert code == 0, report
    assert {"200", "202", "400", "401", "404"} <= set(by_status)  # type: ignore[call-overload]


async def test_errors_that_come_by_fault_are_as_the_document_says(tmp_path: Path) -> None:
    faults = tuple(parse_fault_share(f"{status}=0.3") for status in (403, 429, 500, 503))
    async with client(users=300, fault=faults, auth_body="problem") as one:
        code, report = await ask(one.emulator.url, tmp_path, checks=CONFORMANCE, phases="coverage")
        by_status = one.emulator.stats["by_status"]
    assert code == 0, report
    assert {"403", "429", "500", "503"} <= set(by_status)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        ("418=0.5", "Undocumented status code"),
        ("json-broken=0.5", "JSON deserialization error"),
        ("429:soon=1", "Response header does not conform to the schema"),
    ],
)
async def test_a_deviation_from_the_document_is_found(fault: str, finding: str, tmp_path: Path) -> None:
    async with client(users=30, fault=(parse_fault_share(fault),)) as one:
        code, report = await ask(one.emulator.url, tmp_path, checks=CONFORMANCE, phases="examples")
    assert code == 1, report
    assert finding in report
