"""An entity-relationship diagram as one SVG file without references, in light and dark colours."""

from collections.abc import Sequence
from typing import TypeAlias

from dvd_rental_pipeline.publishing.documentation.layout import (
    HEADER_HEIGHT,
    KEY_MARK_WIDTH,
    PADDING,
    Box,
    Drawing,
)
from dvd_rental_pipeline.publishing.templates import template_environment

Point: TypeAlias = tuple[float, float]

CORNER_RADIUS = 5.0
LINE_END_WIDTH = 7.0
COLOURS = (
    *("#3b76c4", "#c2571a", "#2f8f5b", "#a04a9c", "#b38600", "#c23b52"),
    *("#2f93a6", "#7a6a58", "#6459c7", "#6b8f1f", "#d0568f", "#4b5b6b"),
)


def render_svg(drawing: Drawing, title: str) -> str:
    """`drawing` as SVG; lines are coloured by the table that they lead to."""
    targets = sorted({line.reference.to_table for line in drawing.lines})
    colours = {target: COLOURS[number % len(COLOURS)] for number, target in enumerate(targets)}
    foreign_keys = {(line.reference.table, line.reference.column) for line in drawing.lines}

    def mark(box: Box, column: str) -> str:
        if column in box.table.key:
            return "PK"
        return "FK" if (box.table.name, column) in foreign_keys else ""

    template = template_environment().get_template("entity_diagram.svg")
    return template.render(
        title=title,
        drawing=drawing,
        colours=colours,
        mark=mark,
        path=_path,
        header=HEADER_HEIGHT,
        padding=PADDING,
        key_mark=KEY_MARK_WIDTH,
    )


def _path(points: Sequence[Point]) -> str:
    """A line with rounded corners, a crow's foot at its start and a bar at its end."""
    steps = [f"M{_xy(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(CORNER_RADIUS, _distance(before, corner) / 2, _distance(corner, after) / 2)
        start, end = _toward(corner, before, radius), _toward(corner, after, radius)
        steps.append(f"L{_xy(start)} Q{_xy(corner)} {_xy(end)}")
    (x1, y1), (x2, y2) = points[0], points[-1]
    foot = x1 + (LINE_END_WIDTH if points[1][0] > x1 else -LINE_END_WIDTH)
    bar = x2 + (LINE_END_WIDTH if points[-2][0] > x2 else -LINE_END_WIDTH)
    return " ".join(
        [
            *steps,
            f"L{_xy(points[-1])}",
            f"M{_xy((x1, y1 - 4))} L{_xy((foot, y1))} L{_xy((x1, y1 + 4))}",
            f"M{_xy((bar, y2 - 4))} L{_xy((bar, y2 + 4))}",
        ]
    )


def _xy(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def _distance(one: Point, other: Point) -> float:
    """The length of a horizontal or vertical line."""
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _toward(start: Point, end: Point, length: float) -> Point:
    share = length / (_distance(start, end) or 1.0)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
