"""The pictures of the model's card, as SVG. Needs Python alone.

  python picture.py loss LOG OUT.svg         what train.py printed: loss of the batches, and of held-out replies
  python picture.py experts FILE OUT.svg     what `evaluate.py run --experts FILE` wrote: share of each layer's choices by expert
"""

import json
import math
import re
import sys
from pathlib import Path

STYLE = """<style>
svg { --bg: #fff; --fg: #1f2328; --dim: #59636e; --grid: #d8dee4; --c0: #0969da; --c1: #bc4c00; }
@media (prefers-color-scheme: dark) { svg { --bg: #0d1117; --fg: #f0f6fc; --dim: #9198a1; --grid: #30363d; --c0: #4493f8; --c1: #f0883e; } }
text { font: 12px system-ui, sans-serif; fill: var(--dim); } .t { font-size: 14px; font-weight: 600; fill: var(--fg); }
.m { text-anchor: middle; } .e { text-anchor: end; } .g { stroke: var(--grid); } polyline { fill: none; stroke-width: 2; }
</style>"""
LEFT, TOP, CELL_WIDTH, CELL_HEIGHT = 64, 60, 56, 28


def page(width, height, title, body):
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{title}</title>", STYLE, '<rect width="100%" height="100%" style="fill: var(--bg)"/>',
        f'<text class="t" x="{LEFT}" y="24">{title}</text>',
    )  # fmt: skip
    return "\n".join([*head, *body, "</svg>"]) + "\n"


def loss(text):
    trained = [(int(n), float(x)) for n, x in re.findall(r"^step (\d+) loss ([\d.]+)", text, re.M)]
    held_out = [(int(n), float(x)) for n, x in re.findall(r"^step (\d+) held out: loss ([\d.]+)", text, re.M)]
    points = trained + held_out
    width, height, last = 520, 300, max(n for n, _ in points)
    low = math.floor(math.log10(max(1e-6, min(x for _, x in points))))
    high = math.ceil(math.log10(max(x for _, x in points)))

    def at(n, x):
        y = (high - math.log10(max(x, 10**low))) / (high - low)
        return f"{LEFT + width * n / last:.1f},{TOP + height * y:.1f}"

    body = [
        f'<text x="{LEFT}" y="44"><tspan style="fill: var(--c0)">of the batches</tspan>, '
        '<tspan style="fill: var(--c1)">of held-out replies</tspan>; nats a token</text>'
    ]
    for power in range(low, high + 1):
        y = float(at(0, 10**power).split(",")[1])
        body.append(f'<line class="g" x1="{LEFT}" x2="{LEFT + width}" y1="{y}" y2="{y}"/>')
        body.append(f'<text class="e" x="{LEFT - 6}" y="{y + 4}">{10**power:g}</text>')
    for n in range(0, last + 1, 2000):
        body.append(f'<text class="m" x="{LEFT + width * n / last:.1f}" y="{TOP + height + 18}">{n}</text>')
    body.append(f'<text class="m" x="{LEFT + width / 2}" y="{TOP + height + 38}">steps</text>')
    for color, line in enumerate((trained, held_out)):
        path = " ".join(at(n, x) for n, x in line)
        body.append(f'<polyline points="{path}" style="stroke: var(--c{color})"/>')
        body += [
            '<circle cx="{}" cy="{}" r="3" style="fill: var(--c1)"/>'.format(*at(*p).split(",")) for p in line if color
        ]
    return page(LEFT + width + 24, TOP + height + 52, "Loss", body)


def experts(layers):
    count = len(layers[0])
    body = [f'<text x="{LEFT}" y="44">share of a layer\'s choices in %; {100 / count:g} would be even</text>']
    for row, counts in enumerate(layers):
        y = TOP + CELL_HEIGHT * row
        body.append(f'<text class="e" x="{LEFT - 6}" y="{y + 18}">layer {row}</text>')
        for column, used in enumerate(counts):
            share, x = used / sum(counts), LEFT + CELL_WIDTH * column
            shade = min(1.0, share * count / 2)  # half as dark as can be when even
            body.append(f'<rect x="{x}" y="{y}" width="{CELL_WIDTH - 2}" height="{CELL_HEIGHT - 2}" '
                        f'style="fill: var(--c0); fill-opacity: {shade:.2f}"/>'
                        f'<text class="m" style="fill: var(--fg)" x="{x + CELL_WIDTH / 2 - 1}" y="{y + 18}">{100 * share:.1f}</text>')  # fmt: skip
    bottom = TOP + CELL_HEIGHT * len(layers)
    for column in range(count):
        body.append(f'<text class="m" x="{LEFT + CELL_WIDTH * (column + 0.5) - 1}" y="{bottom + 16}">{column}</text>')
    body.append(f'<text class="m" x="{LEFT + CELL_WIDTH * count / 2}" y="{bottom + 36}">expert</text>')
    return page(LEFT + CELL_WIDTH * count + 24, bottom + 48, "Load of the experts", body)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("loss", "experts"):
        sys.exit(__doc__)
    source = Path(sys.argv[2]).read_text()
    Path(sys.argv[3]).write_text(loss(source) if sys.argv[1] == "loss" else experts(json.loads(source)))
