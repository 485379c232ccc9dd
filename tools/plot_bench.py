#!/usr/bin/env python3
"""Draws `bench --json` files: speed against prompt length, depth, batch and threads, as small SVG pictures.

    tools/plot_bench.py --out docs/images NAME=FILE.json [NAME=FILE.json ...]

Each file is a series of its own name (a precision, a tier, a commit). A picture is made for every kind of test that
at least one file has two points of: prompt.svg (ppN), depth.svg (tg at depths), batch.svg (bS) and threads.svg (the
same test with several --threads); one that is there is overwritten. Whiskers go from the lowest to the highest sample.
Needs Python alone.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path
from xml.sax.saxutils import escape

HEIGHT, PLOT_WIDTH = 360, 426
LEFT, TOP, BOTTOM = 64, 44, 48
COLORS = 6
STYLE = """<style>
svg { --bg: #fff; --fg: #1f2328; --dim: #59636e; --grid: #d8dee4;
--c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #9a6700; }
@media (prefers-color-scheme: dark) { svg { --bg: #0d1117; --fg: #f0f6fc; --dim: #9198a1; --grid: #30363d;
--c0: #4493f8; --c1: #f0883e; --c2: #3fb950; --c3: #ab7df8; --c4: #f778ba; --c5: #d29922; } }
text { font: 12px system-ui, sans-serif; fill: var(--dim); } .t { font-size: 14px; font-weight: 600; fill: var(--fg); }
.m { text-anchor: middle; } .e { text-anchor: end; } .g { stroke: var(--grid); } polyline { fill: none; stroke-width: 2; }
</style>"""


class Point:
    def __init__(self, x, figure):
        self.x, self.y = x, figure["median"]
        self.low, self.high = figure["min"], figure["max"]


def series_of(record, kind):
    """{name of the line: [Point]} of one file for one picture."""
    lines = {}
    for figure in record["figures"]:
        test, threads = figure["test"], figure["threads"]
        match = re.fullmatch(r"(pp|tg|b)(\d+)(?:@d(\d+))?", test)
        if not match:
            continue
        form, number, depth = match[1], int(match[2]), int(match[3] or 0)
        if kind == "prompt" and form == "pp" and not depth:
            lines.setdefault(f"{threads} threads", []).append(Point(number, figure))
        elif kind == "depth" and form == "tg":
            lines.setdefault(f"tg{number}, {threads} threads", []).append(Point(depth, figure))
        elif kind == "batch" and form == "b" and not depth:
            lines.setdefault(f"{threads} threads", []).append(Point(number, figure))
        elif kind == "threads" and form in ("pp", "tg"):
            lines.setdefault(test, []).append(Point(threads, figure))
    return {name: sorted(points, key=lambda p: p.x) for name, points in lines.items() if len(points) > 1}


PICTURES = {
    "prompt": ("Reading a prompt", "tokens of the prompt"),
    "depth": ("Decoding at depth", "tokens there already"),
    "batch": ("Decoding several sequences together", "sequences"),
    "threads": ("Threads", "threads"),
}


def ticks_to(high):
    power = 10 ** math.floor(math.log10(high / 5))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= high / 5)
    return [i * step for i in range(math.ceil(high / step) + 1)]


def draw(title, x_label, lines):
    points = [p for line in lines.values() for p in line]
    xs = sorted({p.x for p in points})
    ticks = ticks_to(max(p.high for p in points))
    plot_right = LEFT + PLOT_WIDTH
    width = plot_right + 44 + 7 * max(map(len, lines))  # the legend's letters are about 7 wide

    def x_at(x):  # evenly: the points of a measurement are what it has
        return LEFT + PLOT_WIDTH * xs.index(x) / max(1, len(xs) - 1)

    def y_at(y):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / ticks[-1]

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" '
           f'role="img">', f"<title>{escape(title)}</title>", STYLE,
           '<rect width="100%" height="100%" style="fill: var(--bg)"/>',
           f'<text class="t" x="{LEFT}" y="24">{escape(title)}</text>',
           f'<text class="m" x="{LEFT + PLOT_WIDTH / 2:.0f}" y="{HEIGHT - 10}">{escape(x_label)}</text>',
           f'<text class="m" x="16" y="{(TOP + HEIGHT - BOTTOM) / 2:.0f}" '
           f'transform="rotate(-90 16 {(TOP + HEIGHT - BOTTOM) / 2:.0f})">tokens/s</text>']
    for tick in ticks:
        out.append(f'<line class="g" x1="{LEFT}" x2="{plot_right}" y1="{y_at(tick):.1f}" y2="{y_at(tick):.1f}"/>'
                   f'<text class="e" x="{LEFT - 6}" y="{y_at(tick) + 4:.1f}">{tick:g}</text>')
    for x in xs:
        out.append(f'<text class="m" x="{x_at(x):.1f}" y="{HEIGHT - BOTTOM + 16}">{x}</text>')
    for number, (name, line) in enumerate(lines.items()):
        color = f"var(--c{number % COLORS})"
        path = " ".join(f"{x_at(p.x):.1f},{y_at(p.y):.1f}" for p in line)
        out.append(f'<polyline points="{path}" style="stroke: {color}"/>')
        for p in line:
            out.append(f'<line x1="{x_at(p.x):.1f}" x2="{x_at(p.x):.1f}" y1="{y_at(p.low):.1f}" '
                       f'y2="{y_at(p.high):.1f}" style="stroke: {color}"/><circle cx="{x_at(p.x):.1f}" '
                       f'cy="{y_at(p.y):.1f}" r="3" style="fill: {color}"><title>{p.x}: {p.y:.2f}</title></circle>')
        y = TOP + 8 + 20 * number
        out.append(f'<line x1="{plot_right + 10}" x2="{plot_right + 28}" y1="{y}" y2="{y}" '
                   f'style="stroke: {color}; stroke-width: 2"/>'
                   f'<text x="{plot_right + 34}" y="{y + 4}">{escape(name)}</text>')
    return "\n".join(out) + "\n</svg>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, help="folder of the pictures")
    parser.add_argument("files", nargs="+", metavar="NAME=FILE")
    options = parser.parse_args()
    records = []
    for word in options.files:
        name, separator, path = word.partition("=")
        if not separator:
            name, path = Path(word).stem, word
        try:
            records.append((name, json.loads(Path(path).read_text(encoding="utf-8"))))
            for kind in PICTURES:
                series_of(records[-1][1], kind)
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not what `bench --json` writes"
            print(f"plot_bench: {path}: {why}", file=sys.stderr)
            return 1
    made = 0
    for kind, (title, x_label) in PICTURES.items():
        lines = {}
        for name, record in records:
            for line, points in series_of(record, kind).items():
                lines[f"{name} {line}" if len(records) > 1 else line] = points
        if not lines:
            continue
        try:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{kind}.svg").write_text(draw(title, x_label, lines), encoding="utf-8")
        except OSError as error:
            print(f"plot_bench: {error.filename}: {error.strerror}", file=sys.stderr)
            return 1
        print(options.out / f"{kind}.svg")
        made += 1
    if not made:
        print("plot_bench: no kind of test has two points", file=sys.stderr)
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(main())
