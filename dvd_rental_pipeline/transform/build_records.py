"""What the warehouse was last built from: a table in the warehouse itself, one row per model, and per
test that did not fail.

The table is part of the warehouse, so that a copy that is restored has the records of its own state. A record
is removed before its node is built, and written after it was built: a run that is killed leaves no record that
claims more than was built.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, TypeVar

from dvd_rental_pipeline.warehouse.interface import Reader, Session, TableName, Warehouse

RECORDS_TABLE = "build_records"
_CHUNK = 200
_T = TypeVar("_T")


@dataclass(frozen=True)
class BuildRecord:
    """The last build of a model, or the last evaluation of a test that passed or warned.

    Attributes:
        node: dbt's unique id.
        fingerprint: what asks for another build when it changes: the code, and the versions of the inputs or,
            for a view, their shapes. Empty while an incremental model is being built.
        code: the code version.
        lineage: the code versions of the model and of all models above it, with the shapes of the raw tables.
        version: the data version; empty for a view, which shows its inputs, and for a test.
        run_id: the run that built or evaluated it.
        shape: hash of the columns that the table or view then had; empty for a test.
        row_count: rows that the table then had, or that the test warned of: 0 if it passed. None for a view.
    """

    node: str
    fingerprint: str
    code: str
    lineage: str
    version: str
    run_id: str
    shape: str = ""
    row_count: int | None = None


_COLUMNS = tuple(field.name for field in fields(BuildRecord))


class BuildRecords:
    """The records in `schema` of `warehouse`."""

    def __init__(self, warehouse: Warehouse, schema: str) -> None:
        self.warehouse = warehouse
        self.table = TableName(schema, RECORDS_TABLE)

    def read(self, reader: Reader) -> Mapping[str, BuildRecord]:
        """All records, by node. The table must exist.

        Raises:
            WarehouseError: the warehouse cannot be queried.
        """
        rows = reader.query(f"select {', '.join(_COLUMNS)} from {self.table}").values
        return {str(row[0]): _parse(row) for row in rows}

    def create(self) -> None:
        """Create the table.

        Raises:
            WarehouseError: the warehouse cannot be written.
        """
        import pyarrow as pa  # noqa: PLC0415 - needed once per warehouse

        types = {name: pa.int64() if name == "row_count" else pa.string() for name in _COLUMNS}
        self.warehouse.create_schema(self.table.schema)
        self.warehouse.load(self.table, pa.schema(list(types.items())).empty_table())

    def remove(self, nodes: Collection[str], *, keep_lineage: Collection[str] = ()) -> None:
        """Remove the records of `nodes`, which are about to be built.

        Of `keep_lineage`, incremental models that are built from the change alone, the fingerprint is removed.

        Raises:
            WarehouseError: the warehouse cannot be written.
        """
        with self.warehouse.transaction() as transaction:
            _delete(transaction, self.table, sorted(set(nodes) - set(keep_lineage)))
            for chunk in _chunks(sorted(keep_lineage)):
                marks = ", ".join("?" for _ in chunk)
                transaction.execute(f"update {self.table} set fingerprint = '' where node in ({marks})", chunk)

    def store(self, records: Collection[BuildRecord]) -> None:
        """Write `records` in place of those of the same nodes.

        Raises:
            WarehouseError: the warehouse cannot be written.
        """
        if not records:
            return
        with self.warehouse.transaction() as transaction:
            _delete(transaction, self.table, [record.node for record in records])
            for chunk in _chunks(sorted(records, key=lambda record: record.node)):
                row = f"({', '.join('?' for _ in _COLUMNS)})"
                transaction.execute(
                    f"insert into {self.table} ({', '.join(_COLUMNS)}) values {', '.join([row] * len(chunk))}",
                    [value for record in chunk for value in astuple(record)],
                )


def _parse(row: Sequence[Any]) -> BuildRecord:
    node, fingerprint, code, lineage, version, run_id, shape, row_count = row
    return BuildRecord(
        node=str(node),
        fingerprint=str(fingerprint),
        code=str(code),
        lineage=str(lineage),
        version=str(version),
        run_id=str(run_id),
        shape=str(shape),
        row_count=None if row_count is None else int(row_count),
    )


def _delete(transaction: Session, table: TableName, nodes: Sequence[str]) -> None:
    for chunk in _chunks(nodes):
        transaction.execute(f"delete from {table} where node in ({', '.join('?' for _ in chunk)})", chunk)


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
