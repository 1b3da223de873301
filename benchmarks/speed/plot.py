"""The same as a picture: for each kind of work, how many times as long as regrow on asyncio everybody takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from xml.sax.saxutils import escape

from .measure import Column, Result, Stage
from .tables import short

WIDTH, MARGIN, LABEL, BAR, VALUE = 460, 20, 160, 200, 60  # of one panel, and of what is in it from left to right
ROW, HEAD = 15, 34
PANELS = 2  # beside each other

STYLE = """
text { font: 11px system-ui, sans-serif; fill: #24292f } .head { font-weight: 600 } .value { fill: #57606a }
.floor { fill: #8c959f } .ours { fill: #1a7f37 } .other { fill: #54aeff } .one { stroke: #24292f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .value { fill: #9198a1 } .one { stroke: #e6edf3 }
  .floor { fill: #656c76 } .ours { fill: #3fb950 } .other { fill: #1f6feb }
}
"""


def plot(results: Sequence[Result], stages: Sequence[Stage], reference: str) -> str:
    """An SVG document. The scale is logarithmic; what is to the left of the line is faster than the reference."""
    to = next(result for result in results if result.subject.name == reference)
    drawn: list[str] = []
    top, lowest = 0, 0
    for place, (heading, column) in enumerate(_panels(stages)):
        if place % PANELS == 0:
            top, lowest = lowest, 0
        bars = [(result, ratio) for result in results if (ratio := result.ratio(column.work, to)) is not None]
        drawn.append(f'<g transform="translate({place % PANELS * WIDTH},{top})">{_panel(heading, bars)}</g>')
        lowest = max(lowest, top + HEAD + ROW * (len(bars) + 1))
    size = f'width="{WIDTH * PANELS}" height="{lowest}" viewBox="0 0 {WIDTH * PANELS} {lowest}"'
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{STYLE}</style>", *drawn, "</svg>\n"]
    )


def _panels(stages: Sequence[Stage]) -> list[tuple[str, Column]]:
    of_stages = ([(stage, column) for column in stage.columns] for stage in stages)
    return [
        (column.head.partition(", µs")[0] + (" between two nodes" if stage.suffix else ""), column)
        for stage, column in chain.from_iterable(of_stages)
    ]


def _panel(heading: str, bars: Sequence[tuple[Result, float]]) -> str:
    """One kind of work: a bar for each who does it, from one times as long."""
    low = min((ratio for _, ratio in bars), default=1.0)
    high = max((ratio for _, ratio in bars), default=1.0)
    scale = BAR / (math.log(high / low) or 1.0)
    one = MARGIN + LABEL + scale * math.log(1 / low)
    bottom = HEAD + ROW * len(bars)
    parts = [f'<text class="head" x="{MARGIN}" y="{HEAD - 12}">{escape(heading)}</text>']
    for number, (result, ratio) in enumerate(bars):
        y, end = HEAD + ROW * number, one + scale * math.log(ratio)
        middle = y + ROW - 4
        parts += [
            f'<text x="{MARGIN + LABEL - 6}" y="{middle}" text-anchor="end">{escape(result.subject.name)}</text>',
            f'<rect class="{_kind(result)}" x="{min(one, end):.1f}" y="{y + 2}" width="{abs(end - one):.1f}" '
            f'height="{ROW - 4}"/>',
            f'<text class="value" x="{max(one, end) + 4:.1f}" y="{middle}">{short(ratio)}</text>',
        ]
    parts.append(f'<line class="one" x1="{one:.1f}" x2="{one:.1f}" y1="{HEAD - 4}" y2="{bottom}"/>')
    return "\n".join(parts)


def _kind(result: Result) -> str:
    """Of which class a bar is: the floor, regrow, others."""
    return {"raw": "floor", "regrow": "ours", "regrow_in_place": "ours"}.get(result.subject.module, "other")
