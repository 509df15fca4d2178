"""Results as bars and lines in SVG, without a drawing library. Pure: a document in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10
from typing import Any

_STYLE = "font-family:sans-serif;font-size:13px;fill:#333"
_BAR = "#3b6ea5"
_COLOURS = (_BAR, "#8a8a3a", "#b5543a", "#7a4d8a", "#4d8a4d")
WIDTH = 720


def plots(results: dict[str, Any]) -> dict[str, str]:
    """A picture for each part that was measured, by name."""
    found = {}
    for part in ("floor", "peers"):
        if part in results:
            runs = results[part]["runs"]
            bars = [(name, run["cpu_seconds"]["median"]) for name, run in runs.items()]
            found[f"cpu-{part}"] = bar_plot(f"CPU seconds for {results[part]['users']:,} users", bars)
    if len(results.get("growth", ())) > 2:
        rows = results["growth"]
        name = "growth" if "floor" in results else "growth-long"
        lines = {
            "CPU seconds": [(row["users"], row["cpu_seconds"]["median"]) for row in rows],
            "wall seconds": [(row["users"], row["wall_seconds"]["median"]) for row in rows],
            "peak MiB": [(row["users"], row["peak_mib"]["median"]) for row in rows],
            "MB of spool": [(row["users"], row["spool_bytes"] / 1e6) for row in rows],
            "MB written": [(row["users"], row["bytes_written"] / 1e6) for row in rows],
        }
        found[name] = line_plot("Growth with the number of users (both axes logarithmic)", lines)
    return found


def bar_plot(title: str, bars: Sequence[tuple[str, float]]) -> str:
    """Horizontal bars from 0."""
    most = max(value for _, value in bars)
    shapes = [_text(10, 22, title)]
    for number, (name, value) in enumerate(bars):
        y = 40 + number * 28
        length = 420 * value / most
        shapes.append(_text(10, y + 15, name))
        shapes.append(f'<rect x="220" y="{y}" width="{length:.1f}" height="20" fill="{_BAR}"/>')
        shapes.append(_text(int(226 + length), y + 15, f"{value:.2f}"))
    return _picture(50 + 28 * len(bars), shapes)


def line_plot(title: str, lines: dict[str, list[tuple[float, float]]]) -> str:
    """Lines over users, from 10 thousand on; both axes logarithmic."""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [max(y, 0.01) for points in lines.values() for _, y in points]
    left, right, low, high = log10(min(xs)), log10(max(xs)), log10(min(ys)), log10(max(ys))
    shapes = [_text(10, 22, title)]
    for (name, points), colour in zip(lines.items(), _COLOURS, strict=False):
        places = [
            (60 + 460 * (log10(x) - left) / (right - left), 330 - 280 * (log10(max(y, 0.01)) - low) / (high - low))
            for x, y in points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (_, value) in zip(places, points, strict=True):
            shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
            shapes.append(_text(int(x) - 8, int(y) - 7, f"{value:.3g}"))
        shapes.append(_text(int(places[-1][0]) + 40, int(places[-1][1]) + 4, name))
    for users in sorted(set(xs)):
        shapes.append(_text(int(60 + 460 * (log10(users) - left) / (right - left)) - 20, 360, f"{users:,.0f}"))
    return _picture(375, shapes)


def _text(x: int, y: int, words: str) -> str:
    return f'<text x="{x}" y="{y}" style="{_STYLE}">{escape(words)}</text>'


def _picture(height: int, shapes: Sequence[str]) -> str:
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n{body}\n</svg>\n'
    )
