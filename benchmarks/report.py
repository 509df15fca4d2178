"""Results as a table for people. Pure: a document in, text out."""

from __future__ import annotations

from typing import Any

GOALS = (
    ("CPU against the floor", ("floor", "cpu_against_floor", "median"), 1.6),
    ("both formats against Parquet alone", ("floor", "both_against_parquet", "median"), 1.5),
    ("bytes a user in Parquet", ("floor", "parquet_bytes_a_user"), 23.0),
)
"""Name, where it stands, and the most it should be."""


def text(results: dict[str, Any]) -> str:
    """Every part that was measured."""
    lines = [" ".join(f"{name} {value}" for name, value in results["machine"].items()), ""]
    for part in ("floor", "peers"):
        if part in results:
            lines += _runs(results[part])
    for row in goals(results):
        lines.append(f"{row[0]:44} {row[1]:8.2f}   at most {row[2]:g}   {row[3]}")
    if "peers" in results:
        lines += ["", "CPU against syncer (Parquet, all guarantees on)"]
        for name, ratio in results["peers"]["cpu_against_syncer"].items():
            lines.append(f"  {name:30} {ratio['median']:6.1f}x  ({ratio['min']:.1f} to {ratio['max']:.1f})")
    for part in ("growth", "page_sizes"):
        lines += ["", part, *map(_row, results[part])] if part in results else []
    for row in results.get("walkers", ()):
        lines += ["", *_walkers(row)]
    for part in ("latencies", "rate_limits"):
        lines += ["", part, *map(str, results[part])] if part in results else []
    return "\n".join(lines)


def goals(results: dict[str, Any]) -> list[tuple[str, float, float, str]]:
    """Name, value, limit, and whether it is met."""
    found = [(name, _at(results, path), most) for name, path, most in GOALS if "floor" in results]
    for row in results.get("growth", ()):
        if row["users"] == 100_000:
            found.append(("CPU seconds for 100,000 users", row["cpu_seconds"]["median"], 0.9))
        if row["users"] >= 100_000:
            found.append((f"peak MiB at {row['users']:,} users", row["peak_mib"]["max"], 128.0))
    for row in results.get("latencies", ()):
        most = 1.06 if row["latency_ms"] == 50 else 1.02
        found.append((f"wall at {row['latency_ms']} ms against pages x latency", row["wall_against_ideal"], most))
    for row in results.get("rate_limits", ()):
        most = 1.05 if row["limit"] == "known" else 2.0
        found.append(
            (f"wall under a rate limit that is {row['limit']}, against ideal", row["wall_against_ideal"], most)
        )
        if row["limit"] == "known":
            found.append(("429 answers under a known limit", row["refused"], 0))
        found.append((f"requests inside Retry-After, limit {row['limit']}", row["inside_window"], 0))
    return [(name, value, most, "met" if value <= most else "MISSED") for name, value, most in found]


def _runs(part: dict[str, Any]) -> list[str]:
    lines = [f"{part['users']:,} users, medians (least to most)"]
    lines.append(f"  {'':28} {'CPU s':>20} {'wall s':>20} {'peak MiB':>9} {'MB':>7}  complete")
    for name, run in part["runs"].items():
        kinds = [kind for kind in run["check"].values() if isinstance(kind, dict)]
        whole = bool(kinds) and all(kind["complete"] for kind in kinds)
        lines.append(
            f"  {name:28} {_span(run['cpu_seconds']):>20} {_span(run['wall_seconds']):>20}"
            f" {run['peak_mib']['median']:9.1f} {run['bytes_written'] / 1e6:7.1f}  {'yes' if whole else 'NO'}"
        )
    return [*lines, ""]


def _walkers(row: dict[str, Any]) -> list[str]:
    lines = [f"{row['pages']} pages of {row['page_size']} users, {row['latency_milliseconds']:g} ms a page"]
    for run in row["runs"]:
        speed = f"{run['seconds']['median']:.2f} s, {run['times_as_fast']:.1f} times as fast"
        work = f"{run['requests']} requests, {run['users_per_cpu_second']:,} users a CPU second"
        lines.append(f"  {run['walkers']:>3} walkers: {speed}, {work}")
    return lines


def _row(row: dict[str, Any]) -> str:
    size = row.get("users") or f"{row['users_a_page']} a page"
    return (
        f"  {size!s:>12}  CPU {_span(row['cpu_seconds'])} s, wall {_span(row['wall_seconds'])} s,"
        f" peak {row['peak_mib']['max']:.1f} MiB, {row['bytes_written'] / 1e6:.1f} MB,"
        f" spool {row['spool_bytes'] / 1e6:.1f} MB"
    )


def _span(values: dict[str, float]) -> str:
    return f"{values['median']:.2f} ({values['min']:.2f}-{values['max']:.2f})"


def _at(results: dict[str, Any], path: tuple[str, ...]) -> float:
    value: Any = results
    for key in path:
        value = value[key]
    return float(value)
