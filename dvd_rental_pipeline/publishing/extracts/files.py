"""Writes each table as Parquet and, if a sheet can hold it, as CSV; optionally all as one Tableau extract."""

import importlib.util
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dvd_rental_pipeline.publishing.spreadsheet_text import safe_batch
from dvd_rental_pipeline.transform.manifest import DbtModel, Manifest
from dvd_rental_pipeline.warehouse.interface import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

LAYERS = ("reports", "marts")
HYPER_FILE = "dvd_rental.hyper"
MOST_CSV_ROWS = 2**20 - 1
"""What a sheet of Excel holds below the header. Of more rows it would show the first ones, without a word."""


@dataclass(frozen=True)
class ExtractTable:
    """A table to extract: its public `columns`, and the `hidden` ones that stay in the warehouse."""

    schema: str
    name: str
    description: str
    relation: str
    columns: Sequence[str]
    hidden: Sequence[str]

    @property
    def path(self) -> str:
        """Path of the file without its ending, relative to the folder of the extracts."""
        return f"{self.schema}/{self.name}"

    @property
    def sql(self) -> str:
        return f"select {', '.join(self.columns)} from {self.relation}"


@dataclass(frozen=True)
class Extract:
    """A table that was written: number of rows, and sizes of its files in bytes; None without a CSV file."""

    table: ExtractTable
    rows: int
    parquet_bytes: int
    csv_bytes: int | None


def extract_tables(manifest: Manifest, domain: str, private: Collection[str]) -> Sequence[ExtractTable]:
    """Every report and mart built from `domain` alone, without the columns in `private` (lower case)."""
    tables = [
        _table(model, private)
        for model in manifest.models.values()
        if model.schema in LAYERS and not model.is_snapshot and manifest.domains_of(model.unique_id) <= {domain}
    ]
    return sorted(
        (table for table in tables if table.columns),
        key=lambda table: (LAYERS.index(table.schema), table.name),
    )


def write_extracts(tables: Sequence[ExtractTable], warehouse: Warehouse, folder: Path) -> Sequence[Extract]:
    """Write `tables` into `folder`.

    Raises:
        WarehouseError: a table cannot be read.
    """
    for schema in {table.schema for table in tables}:
        (folder / schema).mkdir()
    files = {table.path: folder / f"{table.path}.parquet" for table in tables}
    counts = warehouse.export({files[table.path]: table.sql for table in tables})
    extracts = []
    for table in tables:
        parquet = files[table.path]
        is_short = counts[parquet] <= MOST_CSV_ROWS
        csv_bytes = _write_csv(parquet, parquet.with_suffix(".csv")) if is_short else None
        extracts.append(Extract(table, counts[parquet], parquet.stat().st_size, csv_bytes))
    return extracts


def can_write_hyper() -> bool:
    """Whether the extra `tableau` is installed."""
    return importlib.util.find_spec("pantab") is not None


def write_hyper(extracts: Sequence[Extract], folder: Path) -> Path | None:
    """All tables as one Tableau extract, if it can be written; else None."""
    if not can_write_hyper():
        return None
    import pantab  # noqa: PLC0415 - optional, and it starts a database engine
    import pyarrow.parquet as pq  # noqa: PLC0415 - only extracts need it

    tables = {
        extract.table.name: _with_doubles(pq.read_table(folder / f"{extract.table.path}.parquet"))
        for extract in extracts
    }
    file = folder / HYPER_FILE
    pantab.frames_to_hyper(tables, file)
    return file


def _with_doubles(table: "pa.Table") -> "pa.Table":
    """pantab 5.3 cannot write decimals between -0.1 and 0, nor any of more than 18 digits."""
    import pyarrow as pa  # noqa: PLC0415 - only extracts need it

    return table.cast(
        pa.schema(
            [
                pa.field(field.name, pa.float64()) if pa.types.is_decimal(field.type) else field
                for field in table.schema
            ]
        )
    )


def _table(model: DbtModel, private: Collection[str]) -> ExtractTable:
    names = [column.name for column in model.columns]
    return ExtractTable(
        schema=model.schema,
        name=model.name,
        description=model.description,
        relation=model.relation_name,
        columns=[name for name in names if name.lower() not in private],
        hidden=[name for name in names if name.lower() in private],
    )


def _write_csv(parquet: Path, file: Path) -> int:
    """Write `file` by row groups and return its bytes. No text is a formula."""
    import pyarrow.csv as pc  # noqa: PLC0415 - only extracts need it
    import pyarrow.parquet as pq  # noqa: PLC0415 - only extracts need it

    source = pq.ParquetFile(parquet)
    with pc.CSVWriter(file, source.schema_arrow) as writer:
        for batch in source.iter_batches():
            writer.write_batch(safe_batch(batch))
    return file.stat().st_size
