"""The data versions of the tables of totesys in the warehouse."""

import hashlib
from collections.abc import Mapping

from dvd_rental_pipeline.pipelines.totesys.load import DELETED_ROWS, LOADED_RUN
from dvd_rental_pipeline.pipelines.totesys.star import SCHEMA, STAR
from dvd_rental_pipeline.warehouse.interface import Reader, TableName


def read_totesys_versions(reader: Reader) -> Mapping[TableName, str]:
    """A hash of the runs that each table contains; that of the deleted rows covers all tables.

    Facts add their surrogate keys, which may differ after all runs are loaded again.

    Raises:
        WarehouseError: the tables do not exist, or the warehouse cannot be queried.
    """
    rows = reader.query(
        f"select table_name, sequence, digest from {LOADED_RUN} order by table_name, sequence"
    ).values
    facts = [table for table in STAR if table.is_fact]
    selects = [
        f"select '{table.name}' as name, count(*) as row_count, max({table.record_id}) as newest"
        f" from {SCHEMA}.{table.name}"
        for table in facts
    ]
    keys = {str(name): values for name, *values in reader.query(" union all ".join(selects)).values}
    loaded = {
        table.name: [(int(sequence), str(digest)) for name, sequence, digest in rows if name == table.name]
        for table in STAR
    }
    versions = {TableName(SCHEMA, name): _hash([runs, keys.get(name)]) for name, runs in loaded.items()}
    return {**versions, DELETED_ROWS: _hash(loaded)}


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:32]
