"""Where the boxes and lines of an entity-relationship diagram go; a model always gives the same drawing.

Tables of events stand in the middle column. The others move between columns until the references are short
and the columns about equally high; within a column they are ordered by the height of what they refer to. Lines
run at right angles: out of the row of the column that refers, along a lane between two columns, into the row
of the key. Lines to the same key share a lane. A line that passes a column goes through a gap between boxes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dvd_rental_pipeline.transform.manifest import Model, Reference, Table

ROW = 17.0
HEADER = 26.0
LETTER = 6.65
PADDING = 10.0
GAP = 26.0
PASSAGE = 10.0
LANE = 9.0
MARGIN = 14.0
TYPE_GAP = 3  # letters
KEY_MARK = 22.0
STUB = 16.0  # room beside a box for the ends of lines

FARTHEST_COLUMN = 3
ROUNDS = 24


@dataclass(frozen=True)
class Box:
    """A table and where it stands."""

    table: Table
    x: float
    y: float
    width: float
    height: float

    def row_y(self, column: str) -> float:
        """The middle of the row of `column`, or of the header if the table does not declare it."""
        names = [declared.name for declared in self.table.columns]
        if column not in names:
            return self.y + HEADER / 2
        return self.y + HEADER + (names.index(column) + 0.5) * ROW


@dataclass(frozen=True)
class Line:
    """A reference and the corners of its line, from the column that refers to the key."""

    reference: Reference
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Drawing:
    """Everything that is drawn, and the size of the sheet."""

    boxes: Mapping[str, Box]
    lines: Sequence[Line]
    width: float
    height: float


@dataclass
class _Slot:
    """What stands in a column: a table, or the gap through which a line passes."""

    name: str
    height: float
    neighbours: list["_Slot"] = field(default_factory=list)
    y: float = 0.0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def lay_out(model: Model) -> Drawing:
    """Place the tables of `model` and route its references."""
    edges = [edge for edge in model.references if edge.table != edge.to_table]
    column_of = _choose_columns(model, edges)
    slots, passages = _stack(model, edges, column_of)
    numbers = range(min(column_of.values(), default=0), max(column_of.values(), default=0) + 1)
    hops = {edge: _hops(edge, column_of) for edge in edges}
    lanes = _lanes(hops)
    x = MARGIN
    boxes: dict[str, Box] = {}
    lane_x: dict[tuple[int, tuple[str, str]], float] = {}
    for channel in range(numbers.start, numbers.stop + 1):
        keys = lanes.get(channel, [])
        if keys:
            x += STUB
            for key in keys:
                lane_x[channel, key] = x
                x += LANE
            x += STUB - LANE
        elif channel not in (numbers.start, numbers.stop):
            x += GAP
        if channel == numbers.stop:
            break
        names = [name for name in sorted(column_of) if column_of[name] == channel]
        width = max((_width(model.tables[name]) for name in names), default=0.0)
        for name in names:
            table = model.tables[name]
            boxes[name] = Box(table, x, MARGIN + slots[name].y, width, _height(table))
        x += width
    sheet = _Sheet(column_of, boxes, passages, lane_x)
    lines = [Line(edge, _route(edge, hops[edge], sheet)) for edge in edges]
    bottom = max((box.y + box.height for box in boxes.values()), default=0.0)
    return Drawing(boxes, lines, x + MARGIN, bottom + MARGIN)


def _height(table: Table) -> float:
    return HEADER + ROW * len(table.columns) + PADDING / 2


def _width(table: Table) -> float:
    letters = [len(column.name) + TYPE_GAP + len(column.type) for column in table.columns]
    return max(
        [*(KEY_MARK + count * LETTER for count in letters), (len(table.short_name) + 2) * LETTER * 1.15]
    ) + (2 * PADDING)


def _choose_columns(model: Model, edges: Sequence[Reference]) -> Mapping[str, int]:
    """A column for each table, 0 in the middle: each table in turn moves to where it costs least."""
    heights = {name: _height(table) + GAP for name, table in model.tables.items()}
    column_of = {
        name: 0 if table.is_event else (-1 if number % 2 else 1)
        for number, (name, table) in enumerate(model.tables.items())
    }
    movable = [name for name, table in model.tables.items() if not table.is_event]

    def cost() -> float:
        column_heights: dict[int, float] = defaultdict(float)
        for name, column in column_of.items():
            column_heights[column] += heights[name]
        spans = (abs(column_of[edge.table] - column_of[edge.to_table]) for edge in edges)
        length = sum(1.5 if span == 0 else 4.0 * (span - 1) for span in spans)
        return (
            length
            + max(column_heights.values()) / 90
            + sum(height**2 for height in column_heights.values()) / 4e5
            + 2.0 * (max(column_heights) - min(column_heights))
        )

    for _ in range(ROUNDS):
        before = dict(column_of)
        for name in movable:
            # Columns from the middle outward, so that a tie goes to the nearer one.
            candidates = sorted(
                range(-FARTHEST_COLUMN, FARTHEST_COLUMN + 1), key=lambda column: (abs(column), column)
            )
            best: tuple[float, int] | None = None
            for candidate in candidates:
                column_of[name] = candidate
                price = cost()
                if best is None or price < best[0] - 1e-9:
                    best = (price, candidate)
            if best:
                column_of[name] = best[1]
        _swap(movable, column_of, cost)
        if column_of == before:
            break
    return column_of


def _swap(movable: Sequence[str], column_of: dict[str, int], cost: Callable[[], float]) -> None:
    """Exchange two tables where that costs less."""
    for index, one in enumerate(movable):
        for other in movable[index + 1 :]:
            if column_of[one] == column_of[other]:
                continue
            before = cost()
            column_of[one], column_of[other] = column_of[other], column_of[one]
            if cost() >= before - 1e-9:
                column_of[one], column_of[other] = column_of[other], column_of[one]


def _hops(edge: Reference, column_of: Mapping[str, int]) -> Sequence[int]:
    """The channels that a line uses, in order; channel n lies to the left of column n."""
    start, end = column_of[edge.table], column_of[edge.to_table]
    if start == end:
        return [start if start < 0 else start + 1]
    return list(range(start + 1, end + 1)) if start < end else list(range(start, end, -1))


def _lanes(hops: Mapping[Reference, Sequence[int]]) -> Mapping[int, Sequence[tuple[str, str]]]:
    """The keys whose lines run in each channel, a lane for each."""
    lanes: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for edge, channels in hops.items():
        for channel in channels:
            key = (edge.to_table, edge.to_column)
            if key not in lanes[channel]:
                lanes[channel].append(key)
    return lanes


def _stack(
    model: Model, edges: Sequence[Reference], column_of: Mapping[str, int]
) -> tuple[Mapping[str, _Slot], Mapping[tuple[Reference, int], _Slot]]:
    """Order the tables of each column, and the gaps for lines that pass it, by where their neighbours are."""
    slots = {name: _Slot(name, _height(table)) for name, table in model.tables.items()}
    columns: dict[int, list[_Slot]] = defaultdict(list)
    for name in model.tables:
        columns[column_of[name]].append(slots[name])
    passages: dict[tuple[Reference, int], _Slot] = {}
    for edge in edges:
        start, end = column_of[edge.table], column_of[edge.to_table]
        step = 1 if start < end else -1
        previous = slots[edge.table]
        for column in range(start + step, end, step) if start != end else ():
            passage = _Slot("", PASSAGE)
            passages[edge, column] = passage
            columns[column].append(passage)
            _connect(previous, passage)
            previous = passage
        _connect(previous, slots[edge.to_table])
    _place(columns)
    best = (_tension(columns), {column: list(stack) for column, stack in columns.items()})
    for turn in range(ROUNDS):
        for column in sorted(columns, key=lambda number: (abs(number), number), reverse=turn % 2 == 1):
            columns[column].sort(key=_pull)
            _place(columns)
        tension = _tension(columns)
        if tension < best[0]:
            best = (tension, {column: list(stack) for column, stack in columns.items()})
    _place(best[1])
    return slots, passages


def _connect(one: _Slot, other: _Slot) -> None:
    one.neighbours.append(other)
    other.neighbours.append(one)


def _pull(slot: _Slot) -> float:
    if not slot.neighbours:
        return float("inf")
    return sum(neighbour.middle for neighbour in slot.neighbours) / len(slot.neighbours)


def _tension(columns: Mapping[int, Sequence[_Slot]]) -> float:
    return sum(
        abs(slot.middle - neighbour.middle)
        for stack in columns.values()
        for slot in stack
        for neighbour in slot.neighbours
    )


def _place(columns: Mapping[int, Sequence[_Slot]]) -> None:
    """Stack each column from its top, centred on the highest one."""
    heights = {
        column: sum(slot.height for slot in stack) + GAP * (len(stack) - 1) for column, stack in columns.items()
    }
    tallest = max(heights.values(), default=0.0)
    for column, stack in columns.items():
        spare = (tallest - heights[column]) / (len(stack) + 1)
        y = spare
        for slot in stack:
            slot.y = y
            y += slot.height + GAP + spare


@dataclass(frozen=True)
class _Sheet:
    """What is placed when the lines are drawn."""

    column_of: Mapping[str, int]
    boxes: Mapping[str, Box]
    passages: Mapping[tuple[Reference, int], _Slot]
    lane_x: Mapping[tuple[int, tuple[str, str]], float]


def _route(edge: Reference, channels: Sequence[int], sheet: _Sheet) -> Sequence[tuple[float, float]]:
    key = (edge.to_table, edge.to_column)
    source, target = sheet.boxes[edge.table], sheet.boxes[edge.to_table]
    rightward = channels[0] > sheet.column_of[edge.table]
    y = source.row_y(edge.column)
    points = [(source.x + source.width if rightward else source.x, y)]
    for channel in channels:
        x = sheet.lane_x[channel, key]
        points.append((x, y))
        crossed = channel if rightward else channel - 1
        passage = sheet.passages.get((edge, crossed))
        y = target.row_y(edge.to_column) if passage is None else MARGIN + passage.middle
        points.append((x, y))
    enters_left = channels[-1] == sheet.column_of[edge.to_table]
    points.append((target.x if enters_left else target.x + target.width, y))
    return list(_without_repeats(points))


def _without_repeats(points: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    last = None
    for point in points:
        if point != last:
            yield point
        last = point
