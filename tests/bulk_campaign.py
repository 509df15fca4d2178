"""Many ids against an emulator with faults, through several kills: each id ends once, and the emulator's log agrees.

`python -m tests.bulk_campaign [IDS]` runs it at full size; the tests run it small.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.processes import Emulator, emulator, start_syncer, syncer

KILLS = 5
FAULTS = (
    "--fault",
    "500=0.02",
    "--fault",
    "reset=0.02",
    "--fault",
    "503:1=0.001",
    "--fault",
    "429:1=0.001",
    "--second-delete",
    "404",
)
LIMITS = ("--rate", "1200", "--burst", "40", "--retry-after", "1", "--latency", "5")


def run_until_done(service: Emulator, flags: list[str], count: int, seed: int) -> list[str]:
    """Start, kill in the middle, start again; at last let it run until nothing is left. What went wrong, in words."""
    chance, killed = random.Random(seed), 0
    for _ in range(KILLS):
        process, before = start_syncer(*flags), requests(service)
        wanted = before + chance.randrange(count // 20, count // 8)
        while process.poll() is None and requests(service) < wanted:
            time.sleep(0.01)
        killed += process.poll() is None
        process.kill()
        process.communicate()
    codes = []
    for _ in range(10):
        codes.append(syncer(*flags, timeout=600).returncode)
        if codes[-1] == 0:
            break
    problems = [f"only {killed} of {KILLS} kills came in the middle"] if killed < KILLS else []
    statuses = service.stats()["by_status"]
    problems += [
        f"there was no {kind} to live through: {statuses}" for kind in ("429", "500", "none") if not statuses.get(kind)
    ]
    return problems + ([f"exit codes {codes}"] if codes[-1:] != [0] else [])


def requests(service: Emulator) -> int:
    """How many the service has seen."""
    return int(service.stats()["requests"])


def flags_for(command: str, service: Emulator, folder: Path, ids: list[str]) -> list[str]:
    """The flags of a run that is to be killed."""
    (folder / "ids.txt").write_text("\n".join(ids) + "\n")
    return [
        command, "--ids-file", str(folder / "ids.txt"), "--base-url", service.url, "--state-dir", str(folder / "state"),
        "--rate", "10000", "--concurrency", "16", "--progress", "never", "--log-level", "error",
    ]  # fmt: skip


def delete_campaign(count: int, folder: Path, seed: int = 7) -> list[str]:
    """What went wrong with ``count`` deletions, in words."""
    folder.mkdir(exist_ok=True)
    with emulator("--users", str(count + 50), "--seed", str(seed), "--deleted-share", "0", *FAULTS, *LIMITS) as service:
        ids = [user["id"] for user in service.truth()][:count]
        flags = flags_for("delete", service, folder, ids)
        problems = run_until_done(service, [*flags, "--yes", "--max", str(count)], count, seed)
        log, truth = service.log(), {user["id"]: user for user in service.truth()}
    lines = (folder / "state").glob("*/receipts.ndjson")
    receipts = [json.loads(line) for path in lines for line in path.read_text().splitlines()]
    final = [receipt for receipt in receipts if receipt["outcome"] != "failed"]
    by_id = Counter(receipt["id"] for receipt in final)
    outcomes = Counter(receipt["outcome"] for receipt in final)
    deletes = [entry for entry in log if entry["operation"] == "delete"]
    accepted_by_service = Counter(entry["path"].rpartition("/")[2] for entry in deletes if entry["status"] == 202)
    problems += [f"{len(ids) - len(by_id)} ids have no outcome"] if set(by_id) != set(ids) else []
    problems += [f"{sum(n > 1 for n in by_id.values())} ids have several outcomes"] if set(by_id.values()) > {1} else []
    problems += [f"{outcomes['already_absent']} were called absent, and we deleted them"] * bool(
        outcomes["already_absent"]
    )
    problems += [f"{user_id} was accepted twice" for user_id, n in accepted_by_service.items() if n > 1][:3]
    problems += [f"{r['id']} has a receipt, and the service never accepted it" for r in final
                 if r["outcome"] == "accepted" and not accepted_by_service[r["id"]]][:3]  # fmt: skip
    problems += [f"{user_id} is still there" for user_id in ids if truth.get(user_id, {}).get("deletedAt") is None
                 and user_id in truth][:3]  # fmt: skip
    return problems + sent_after_accepted(receipts, deletes)


def sent_after_accepted(receipts: list[dict[str, Any]], deletes: list[dict[str, Any]]) -> list[str]:
    """Ids with a request after the one that was accepted and answered whole to us."""
    accepted = {r["request_id"] for r in receipts if r["outcome"] == "accepted"}
    answered: set[str] = set()
    problems = []
    for entry in deletes:
        user_id = str(entry["path"]).rpartition("/")[2]
        if user_id in answered:
            problems.append(f"{user_id} was sent again after it was accepted")
        if entry["request_id"] in accepted:
            answered.add(user_id)
    return problems[:3]


def fetch_campaign(count: int, folder: Path, seed: int = 8) -> list[str]:
    """What went wrong with ``count`` fetches, in words; every tenth id is of nobody."""
    folder.mkdir(exist_ok=True)
    with emulator("--users", str(count), "--seed", str(seed), *FAULTS, *LIMITS) as service:
        truth = service.truth()
        users = {user["id"]: user for user in truth}
        ids = [user["id"][:-4] + "zzzz" if n % 10 == 3 else user["id"] for n, user in enumerate(truth)]
        random.Random(seed).shuffle(ids)
        output = folder / "users.ndjson"
        flags = [*flags_for("fetch", service, folder, ids), "--output", str(output), "--gone", str(folder / "gone.txt")]
        problems = run_until_done(service, flags, count, seed)
        log = service.log()
    found = [json.loads(line) for line in output.read_text().splitlines()]
    answered = Counter(e["path"].rpartition("/")[2] for e in log if e["operation"] == "fetch" and e["status"] == 200)
    problems += ["the output is not the users in order"] if found != [users[i] for i in ids if i in users] else []
    gone = (folder / "gone.txt").read_text().split()
    problems += ["the gone are others"] if gone != [i for i in ids if i not in users] else []
    # At most what was on the wire or not yet written at a kill, and answers that were lost, is asked again.
    again = sum(answered.values()) - len(answered)
    problems += [f"{again} users were asked for again"] if again > KILLS * 16 * 2 + count * 0.05 else []
    return problems


def asked_too_early(log: list[dict[str, Any]], retry_after_seconds: float, on_the_way_seconds: float) -> int:
    """Requests that left after a 429 had arrived and before its ``Retry-After`` had passed. Of one process: another
    one, started after a kill, has not been told.
    """
    refused = [entry["end"] for entry in log if entry["status"] == 429]
    return sum(any(e + on_the_way_seconds < entry["start"] < e + retry_after_seconds for e in refused) for entry in log)


def main() -> int:
    """Run both at full size."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        problems = {
            "delete": delete_campaign(count, Path(folder) / "delete"),
            "fetch": fetch_campaign(count, Path(folder) / "fetch"),
        }
    for name, found in problems.items():
        print(f"{name} {count} ids, {KILLS} kills: {'; '.join(found) or 'each id has one outcome'}")
    return int(any(problems.values()))


if __name__ == "__main__":
    sys.exit(main())
