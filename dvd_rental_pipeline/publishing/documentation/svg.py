"""An entity-relationship diagram as SVG: one file without references, readable in light and in dark."""

from collections.abc import Iterator, Sequence
from html import escape

from dvd_rental_pipeline.publishing.documentation.layout import (
    HEADER,
    KEY_MARK,
    PADDING,
    Box,
    Drawing,
    Line,
    lay_out,
)
from dvd_rental_pipeline.transform.manifest import Model

CORNER = 5.0
FOOT = 7.0
FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
COLOURS = (
    *("#3b76c4", "#c2571a", "#2f8f5b", "#a04a9c", "#b38600", "#c23b52"),
    *("#2f93a6", "#7a6a58", "#6459c7", "#6b8f1f", "#d0568f", "#4b5b6b"),
)

# The attributes draw the light version; the rules apply where the reader prefers dark.
DARK = """
@media (prefers-color-scheme: dark) {
  .sheet { fill: #14181d; }
  .box { fill: #1d232a; stroke: #4a5561; }
  .head { fill: #2b333c; }
  .head.event { fill: #1f4468; }
  .name { fill: #f2f5f8; }
  .column { fill: #dde3e9; }
  .type, .mark { fill: #95a1ad; }
  .line { filter: brightness(1.35); }
}
"""


def entity_svg(model: Model, title: str) -> str:
    """The tables of `model` as boxes of columns, with a line for each reference, coloured by where it leads."""
    drawing = lay_out(model)
    width, height = round(drawing.width), round(drawing.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="{FONT}" font-size="11" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{DARK}</style>",
        f'<rect class="sheet" width="{width}" height="{height}" fill="#ffffff"/>',
        *_lines(drawing),
        *(part for box in drawing.boxes.values() for part in _box(box, drawing)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _lines(drawing: Drawing) -> Iterator[str]:
    targets = sorted({line.reference.to_table for line in drawing.lines})
    colours = {target: COLOURS[number % len(COLOURS)] for number, target in enumerate(targets)}
    for line in drawing.lines:
        edge = line.reference
        label = f"{edge.table}.{edge.column} refers to {edge.to_table}.{edge.to_column}"
        yield (
            f'<g class="line" fill="none" stroke="{colours[edge.to_table]}" stroke-width="1.5">'
            f'<title>{escape(label)}</title><path d="{_path(line.points)} {_ends(line)}"/></g>'
        )


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Straight pieces with rounded corners."""
    steps = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(CORNER, _distance(before, corner) / 2, _distance(corner, after) / 2)
        start, end = _toward(corner, before, radius), _toward(corner, after, radius)
        steps.append(
            f"L{start[0]:.1f} {start[1]:.1f} Q{corner[0]:.1f} {corner[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
        )
    steps.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return " ".join(steps)


def _ends(line: Line) -> str:
    """A crow's foot where there are many rows, a bar where there is one."""
    (x1, y1), (x2, y2) = line.points[0], line.points[-1]
    out = FOOT if line.points[1][0] > x1 else -FOOT
    back = FOOT if line.points[-2][0] > x2 else -FOOT
    return (
        f"M{x1:.1f} {y1 - 4:.1f} L{x1 + out:.1f} {y1:.1f} L{x1:.1f} {y1 + 4:.1f} "
        f"M{x2 + back:.1f} {y2 - 4:.1f} L{x2 + back:.1f} {y2 + 4:.1f}"
    )


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _toward(start: tuple[float, float], end: tuple[float, float], length: float) -> tuple[float, float]:
    whole = _distance(start, end) or 1.0
    return (
        start[0] + (end[0] - start[0]) * length / whole,
        start[1] + (end[1] - start[1]) * length / whole,
    )


def _box(box: Box, drawing: Drawing) -> Iterator[str]:
    table = box.table
    foreign = {line.reference.column for line in drawing.lines if line.reference.table == table.name}
    x, y, width = box.x, box.y, box.width
    event = table.is_event
    yield f"<g><title>{escape(table.description)}</title>"
    yield (
        f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{box.height:.1f}" rx="5" '
        'fill="#ffffff" stroke="#b9c2cb"/>'
    )
    yield (
        f'<path class="head{" event" if event else ""}" fill="{"#d5e6f7" if event else "#eceff2"}" '
        f'd="M{x + 0.5:.1f} {y + HEADER:.1f} v{5.5 - HEADER:.1f} q0 -5 5 -5 h{width - 11:.1f} q5 0 5 5 '
        f'v{HEADER - 5.5:.1f} z"/>'
    )
    yield (
        f'<text class="name" x="{x + PADDING:.1f}" y="{y + HEADER / 2 + 4:.1f}" font-size="12.5" '
        f'font-weight="bold" fill="#15202b">{escape(table.short_name)}</text>'
    )
    for column in table.columns:
        base = box.row_y(column.name) + 4
        is_key = column.name in table.key
        mark = "PK" if is_key else "FK" if column.name in foreign else ""
        yield f"<g><title>{escape(column.description)}</title>"
        if mark:
            yield (
                f'<text class="mark" x="{x + PADDING:.1f}" y="{base:.1f}" font-size="9" '
                f'fill="#6b7782">{mark}</text>'
            )
        weight = ' font-weight="bold"' if is_key else ""
        yield (
            f'<text class="column" x="{x + PADDING + KEY_MARK:.1f}" y="{base:.1f}"{weight} fill="#24303b">'
            f"{escape(column.name)}</text>"
        )
        yield (
            f'<text class="type" x="{x + width - PADDING:.1f}" y="{base:.1f}" text-anchor="end" fill="#6b7782">'
            f"{escape(column.type)}</text></g>"
        )
    yield "</g>"
