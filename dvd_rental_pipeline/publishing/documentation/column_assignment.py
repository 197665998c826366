"""Which column of an entity-relationship diagram each table is placed in.

A local search: tables move and swap columns while that makes references shorter or the heights of the columns
more equal. The result is deterministic.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from dvd_rental_pipeline.publishing.documentation.entity_model import EntityModel, EntityReference

# From the middle outward: of candidates with equal cost, the first is taken.
CANDIDATES = (0, -1, 1, -2, 2, -3, 3)
MAX_ROUNDS = 24
TOLERANCE = 1e-9


def assign_columns(
    model: EntityModel, references: Sequence[EntityReference], heights: Mapping[str, float]
) -> Mapping[str, int]:
    """The column of each table of `model`; 0 is in the middle and has the tables of events."""
    column_of = {
        name: 0 if table.is_event else (-1 if number % 2 else 1)
        for number, (name, table) in enumerate(model.tables.items())
    }
    movable = [name for name, table in model.tables.items() if not table.is_event]
    for _ in range(MAX_ROUNDS):
        before = dict(column_of)
        for name in movable:
            _move(name, column_of, references, heights)
        for one, other in combinations(movable, 2):
            _swap(one, other, column_of, references, heights)
        if column_of == before:
            break
    return column_of


def _move(
    name: str,
    column_of: dict[str, int],
    references: Sequence[EntityReference],
    heights: Mapping[str, float],
) -> None:
    """Move a table to the column with the lowest cost."""
    best_cost, best = float("inf"), column_of[name]
    for candidate in CANDIDATES:
        column_of[name] = candidate
        cost = _cost(column_of, references, heights)
        if cost < best_cost - TOLERANCE:
            best_cost, best = cost, candidate
    column_of[name] = best


def _swap(
    one: str,
    other: str,
    column_of: dict[str, int],
    references: Sequence[EntityReference],
    heights: Mapping[str, float],
) -> None:
    """Swap the columns of two tables if that costs less."""
    if column_of[one] == column_of[other]:
        return
    before = _cost(column_of, references, heights)
    column_of[one], column_of[other] = column_of[other], column_of[one]
    if _cost(column_of, references, heights) >= before - TOLERANCE:
        column_of[one], column_of[other] = column_of[other], column_of[one]


def _cost(
    column_of: Mapping[str, int], references: Sequence[EntityReference], heights: Mapping[str, float]
) -> float:
    """Long references, a tall diagram, columns of different height, and many columns."""
    column_heights: dict[int, float] = defaultdict(float)
    for name, column in column_of.items():
        column_heights[column] += heights[name]
    spans = (abs(column_of[edge.table] - column_of[edge.to_table]) for edge in references)
    return (
        sum(1.5 if span == 0 else 4.0 * (span - 1) for span in spans)
        + max(column_heights.values()) / 90
        + sum(height**2 for height in column_heights.values()) / 4e5
        + 2.0 * (max(column_heights) - min(column_heights))
    )
