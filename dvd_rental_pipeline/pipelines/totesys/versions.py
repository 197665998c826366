"""The data versions of the tables of totesys in the warehouse."""

import hashlib
from collections.abc import Mapping

from dvd_rental_pipeline.pipelines.totesys.load import DELETED_ROWS, LOADED_RUN
from dvd_rental_pipeline.pipelines.totesys.star import SCHEMA, STAR
from dvd_rental_pipeline.warehouse.interface import TableName, Warehouse


def read_totesys_versions(warehouse: Warehouse) -> Mapping[TableName, str]:
    """A hash of the runs that each table contains; that of the deleted rows covers all tables.

    Raises:
        WarehouseError: the tables do not exist, or the warehouse cannot be queried.
    """
    rows = warehouse.query(
        f"select table_name, sequence, digest from {LOADED_RUN} order by table_name, sequence"
    ).values
    loaded = {
        table.name: [(int(sequence), str(digest)) for name, sequence, digest in rows if name == table.name]
        for table in STAR
    }
    versions = {TableName(SCHEMA, name): _hash(runs) for name, runs in loaded.items()}
    return {**versions, DELETED_ROWS: _hash(loaded)}


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:32]
