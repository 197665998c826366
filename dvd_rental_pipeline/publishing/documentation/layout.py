"""Positions of the boxes and lines of an entity-relationship diagram. The result is deterministic.

Within a column, tables are sorted by the vertical position of what they refer to. Lines have right angles: from
the row of the foreign key, along a lane between two columns, to the row of the primary key. Lines to the same
key share a lane. A line that crosses a column passes through a gap between boxes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dvd_rental_pipeline.publishing.documentation.column_assignment import assign_columns
from dvd_rental_pipeline.publishing.documentation.entity_model import Entity, EntityModel, EntityReference

# Pixels.
ROW_HEIGHT = 17.0
HEADER_HEIGHT = 26.0
CHARACTER_WIDTH = 6.65
PADDING = 10.0
KEY_MARK_WIDTH = 22.0
BOX_GAP = 26.0
PASSAGE_HEIGHT = 10.0
LANE_WIDTH = 9.0
STUB_WIDTH = 16.0  # beside a box, for the ends of lines
MARGIN = 14.0

TYPE_GAP = 3  # characters
MAX_ROUNDS = 24


@dataclass(frozen=True)
class Box:
    """A table and its position."""

    table: Entity
    x: float
    y: float
    width: float
    height: float

    def row_y(self, column: str) -> float:
        """The middle of the row of `column`, or of the header if the table does not declare it."""
        names = [declared.name for declared in self.table.columns]
        if column not in names:
            return self.y + HEADER_HEIGHT / 2
        return self.y + HEADER_HEIGHT + (names.index(column) + 0.5) * ROW_HEIGHT


@dataclass(frozen=True)
class Line:
    """A reference and the corners of its line, from the foreign key to the primary key."""

    reference: EntityReference
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Drawing:
    """All boxes, by table, all lines, and the size of the diagram."""

    boxes: Mapping[str, Box]
    lines: Sequence[Line]
    width: float
    height: float


@dataclass
class _Slot:
    """A vertical extent of a column: a table, or a gap through which a line passes."""

    height: float
    neighbours: list["_Slot"] = field(default_factory=list)
    y: float = 0.0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    def connect(self, other: "_Slot") -> None:
        self.neighbours.append(other)
        other.neighbours.append(self)


@dataclass(frozen=True)
class _Grid:
    """What is placed before the lines are routed. Channel n is to the left of column n.

    `passages` are the gaps that a line passes through, by reference and column. `lane_x` are the positions of
    the lanes, by channel and the key (table and column) that the lane leads to.
    """

    column_of: Mapping[str, int]
    boxes: Mapping[str, Box]
    passages: Mapping[tuple[EntityReference, int], _Slot]
    lane_x: Mapping[tuple[int, tuple[str, str]], float]


def lay_out(model: EntityModel) -> Drawing:
    """Place the tables of `model` and route its references."""
    references = [edge for edge in model.references if edge.table != edge.to_table]
    heights = {name: _height(table) + BOX_GAP for name, table in model.tables.items()}
    column_of = assign_columns(model, references, heights)
    slots, passages = _stack(model, references, column_of)
    channels = {edge: _channels(edge, column_of) for edge in references}
    boxes, lane_x, right = _place_columns(model, column_of, slots, _lanes(channels))
    grid = _Grid(column_of, boxes, passages, lane_x)
    lines = [Line(edge, _route(edge, channels[edge], grid)) for edge in references]
    bottom = max((box.y + box.height for box in boxes.values()), default=0.0)
    return Drawing(boxes, lines, right + MARGIN, bottom + MARGIN)


def _height(table: Entity) -> float:
    return HEADER_HEIGHT + ROW_HEIGHT * len(table.columns) + PADDING / 2


def _width(table: Entity) -> float:
    rows = [len(column.name) + TYPE_GAP + len(column.type) for column in table.columns]
    header = (len(table.short_name) + 2) * CHARACTER_WIDTH * 1.15
    return max([*(KEY_MARK_WIDTH + count * CHARACTER_WIDTH for count in rows), header]) + 2 * PADDING


def _channels(edge: EntityReference, column_of: Mapping[str, int]) -> Sequence[int]:
    """The channels that a line runs through, in order."""
    start, end = column_of[edge.table], column_of[edge.to_table]
    if start == end:
        return [start if start < 0 else start + 1]
    return range(start + 1, end + 1) if start < end else range(start, end, -1)


def _lanes(channels: Mapping[EntityReference, Sequence[int]]) -> Mapping[int, Sequence[tuple[str, str]]]:
    """The keys whose lines run through each channel, one lane per key."""
    lanes: dict[int, dict[tuple[str, str], None]] = defaultdict(dict)
    for edge, crossed in channels.items():
        for channel in crossed:
            lanes[channel][edge.to_table, edge.to_column] = None
    return {channel: list(keys) for channel, keys in lanes.items()}


def _place_columns(
    model: EntityModel,
    column_of: Mapping[str, int],
    slots: Mapping[str, _Slot],
    lanes: Mapping[int, Sequence[tuple[str, str]]],
) -> tuple[Mapping[str, Box], Mapping[tuple[int, tuple[str, str]], float], float]:
    """Columns and channels from left to right: boxes, positions of lanes, and the right edge."""
    first, last = min(column_of.values(), default=0), max(column_of.values(), default=0)
    boxes: dict[str, Box] = {}
    lane_x: dict[tuple[int, tuple[str, str]], float] = {}
    x = MARGIN
    for column in range(first, last + 2):
        keys = lanes.get(column, [])
        if keys:
            for number, key in enumerate(keys):
                lane_x[column, key] = x + STUB_WIDTH + number * LANE_WIDTH
            x += 2 * STUB_WIDTH + (len(keys) - 1) * LANE_WIDTH
        elif first < column <= last:
            x += BOX_GAP
        names = [name for name in sorted(column_of) if column_of[name] == column]
        width = max((_width(model.tables[name]) for name in names), default=0.0)
        for name in names:
            table = model.tables[name]
            boxes[name] = Box(table, x, MARGIN + slots[name].y, width, _height(table))
        x += width
    return boxes, lane_x, x


def _stack(
    model: EntityModel, references: Sequence[EntityReference], column_of: Mapping[str, int]
) -> tuple[Mapping[str, _Slot], Mapping[tuple[EntityReference, int], _Slot]]:
    """Sort the tables and passages of each column by the position of their neighbours."""
    slots = {name: _Slot(_height(table)) for name, table in model.tables.items()}
    columns: dict[int, list[_Slot]] = defaultdict(list)
    for name in model.tables:
        columns[column_of[name]].append(slots[name])
    passages: dict[tuple[EntityReference, int], _Slot] = {}
    for edge in references:
        start, end = column_of[edge.table], column_of[edge.to_table]
        step = 1 if start < end else -1
        previous = slots[edge.table]
        for column in range(start + step, end, step) if start != end else ():
            passage = passages[edge, column] = _Slot(PASSAGE_HEIGHT)
            columns[column].append(passage)
            previous.connect(passage)
            previous = passage
        previous.connect(slots[edge.to_table])
    _place_slots(columns)
    best_length, best = _line_length(columns), {column: list(stack) for column, stack in columns.items()}
    for turn in range(MAX_ROUNDS):
        for column in sorted(columns, key=lambda number: (abs(number), number), reverse=turn % 2 == 1):
            columns[column].sort(key=_mean_neighbour)
            _place_slots(columns)
        length = _line_length(columns)
        if length < best_length:
            best_length, best = length, {column: list(stack) for column, stack in columns.items()}
    _place_slots(best)
    return slots, passages


def _mean_neighbour(slot: _Slot) -> float:
    if not slot.neighbours:
        return float("inf")
    return sum(neighbour.middle for neighbour in slot.neighbours) / len(slot.neighbours)


def _line_length(columns: Mapping[int, Sequence[_Slot]]) -> float:
    """Vertical length of all lines."""
    return sum(
        abs(slot.middle - neighbour.middle)
        for stack in columns.values()
        for slot in stack
        for neighbour in slot.neighbours
    )


def _place_slots(columns: Mapping[int, Sequence[_Slot]]) -> None:
    """Distribute the slots of each column over the height of the tallest one."""
    heights = {
        column: sum(slot.height for slot in stack) + BOX_GAP * (len(stack) - 1)
        for column, stack in columns.items()
    }
    tallest = max(heights.values(), default=0.0)
    for column, stack in columns.items():
        spare = (tallest - heights[column]) / (len(stack) + 1)
        y = spare
        for slot in stack:
            slot.y = y
            y += slot.height + BOX_GAP + spare


def _route(edge: EntityReference, channels: Sequence[int], grid: _Grid) -> Sequence[tuple[float, float]]:
    key = (edge.to_table, edge.to_column)
    source, target = grid.boxes[edge.table], grid.boxes[edge.to_table]
    rightward = channels[0] > grid.column_of[edge.table]
    y = source.row_y(edge.column)
    points = [(source.x + source.width if rightward else source.x, y)]
    for channel in channels:
        x = grid.lane_x[channel, key]
        points.append((x, y))
        passage = grid.passages.get((edge, channel if rightward else channel - 1))
        y = target.row_y(edge.to_column) if passage is None else MARGIN + passage.middle
        points.append((x, y))
    enters_left = channels[-1] == grid.column_of[edge.to_table]
    points.append((target.x if enters_left else target.x + target.width, y))
    return list(_without_repeats(points))


def _without_repeats(points: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    previous = None
    for point in points:
        if point != previous:
            yield point
        previous = point
