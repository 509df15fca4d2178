"""A flame graph in SVG, without a drawing library. Pure: counted stacks in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape

WIDTH, ROW, CHARACTER = 1200.0, 16, 6.6
NARROWEST = 0.4
"""Pixels below which a frame is not drawn."""
_COLOURS = {"syncer/": "#e0a458", "pyarrow/": "#5b8fb9", "aiohttp/": "#8fae5d", "asyncio/": "#b0a0c8"}
_OTHER = "#c9c2b8"


def draw(title: str, stacks: Mapping[tuple[str, ...], int]) -> str:
    """Outermost frames at the bottom; the width of a frame is its share of the samples. Hovering names a frame."""
    total = sum(stacks.values())
    depth = max((len(stack) for stack in stacks), default=0)
    height = (depth + 2) * ROW + 10
    shapes = [f'<text x="6" y="14">{escape(title)}, {total:,} samples</text>']
    _draw_level(shapes, stacks, 0, 0.0, WIDTH / max(total, 1), height)
    style = "font-family:monospace;font-size:11px"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height}" style="{style}">'
    return "\n".join([head, *shapes, "</svg>"]) + "\n"


def _draw_level(
    shapes: list[str], stacks: Mapping[tuple[str, ...], int], level: int, left: float, scale: float, height: int
) -> None:
    """One row of frames that share what lies below them, in order of names."""
    parts: dict[str, Counter[tuple[str, ...]]] = {}
    for stack, times in stacks.items():
        if len(stack) > level:
            parts.setdefault(stack[level], Counter())[stack] += times
    for name, part in sorted(parts.items()):
        width = part.total() * scale
        if width >= NARROWEST:
            shapes.append(_frame(name, part.total() / (WIDTH / scale), left, height - (level + 1) * ROW - 6, width))
            _draw_level(shapes, part, level + 1, left, scale, height)
        left += width


def _frame(name: str, share: float, left: float, top: int, width: float) -> str:
    colour = next((colour for room, colour in _COLOURS.items() if f"({room}" in name), _OTHER)
    shown = name[: int((width - 4) / CHARACTER)] if width > 3 * CHARACTER else ""
    label = f'<text x="{left + 2:.1f}" y="{top + 11}">{escape(shown)}</text>' if shown else ""
    box = f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" fill="{colour}"/>'
    return f"<g><title>{escape(name)}: {share:.1%}</title>{box}{label}</g>"
