"""Seconds and memory to validate one large sales file, beside a bare read of it with DuckDB.

`python benchmarks/sales_files.py [--megabytes 1000]` prints a table. Each method runs in a process of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from measuring import Comparison, Cost, parse_cost, print_cost

from dvd_rental_pipeline.pipelines.sales.file_formats import FileFormat
from dvd_rental_pipeline.pipelines.sales.file_names import parse_file_name
from dvd_rental_pipeline.pipelines.sales.validation import open_validation, validate_file
from dvd_rental_pipeline.sample.sales.generator import HEADER, month_rows

NAME = "sales_2024-03.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--method", choices=["duckdb", "validation"])
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    if arguments.method:
        started = time.perf_counter()
        {"duckdb": read_bare, "validation": validate}[arguments.method](arguments.file)
        print_cost(time.perf_counter() - started)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, NAME)
        rows = write(file, arguments.megabytes * 1_000_000)
        size = f"{file.stat().st_size / 1e6:,.0f} MB, {rows:,} records, load {os.getloadavg()[0]:.1f}\n"
        print(size, file=sys.stdout)
        comparison = Comparison()
        comparison.measure(
            {
                "DuckDB reads all columns as text": lambda: run("duckdb", file),
                "validation into Parquet": lambda: run("validation", file),
            }
        )
        print(comparison.table(rows, "records"))


def write(file: Path, size: int) -> int:
    """Write at least `size` bytes of records; about one of 400 is not valid. Returns their number."""
    lines = [
        ",".join(f'"{row[name]}"' for name in HEADER[1:]) for row in month_rows(date(2024, 3, 1), orders=2000)
    ]
    written = rows = 0
    with file.open("w", encoding="utf-8") as out:
        out.write(",".join(HEADER) + "\n")
        while written < size:
            text = "".join(f"{rows + at},{line}\n" for at, line in enumerate(lines))
            written += out.write(text)
            rows += len(lines)
    return rows


def read_bare(file: Path) -> None:
    import duckdb  # noqa: PLC0415 - the memory of this method alone

    with duckdb.connect(config={"threads": 2}) as connection:
        target = file.with_suffix(".bare.parquet")
        connection.execute(
            f"copy (select * from read_csv('{file}', all_varchar = true)) to '{target}' (compression zstd)"
        )


def validate(file: Path) -> None:
    sales_file = parse_file_name(file.name)
    assert sales_file is not None  # noqa: S101 - the name is a constant of this module
    with tempfile.TemporaryDirectory() as folder, file.open("rb") as stream, open_validation() as connection:
        validate_file(sales_file, stream, FileFormat(), Path(folder), connection)


def run(method: str, file: Path) -> Cost:
    done = subprocess.run(
        [sys.executable, __file__, "--method", method, "--file", str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    return parse_cost(done.stdout)


if __name__ == "__main__":
    main()
