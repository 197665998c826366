"""Copies `payment` into DuckDB with dlt's sql_database, and prints the cost, without the start of Python.

Run by `replication_tools.py` in a temporary folder, with a Python that has dlt but not necessarily this
project. Reads the URL of the source from standard input; the arguments are the backend and the number of rows.
"""

import sys
import time

import dlt
import duckdb
from dlt.sources.sql_database import sql_database
from measuring import print_cost

WAREHOUSE = "warehouse.duckdb"


def main(url: str, backend: str, rows: int) -> None:
    started = time.perf_counter()
    source = sql_database(
        url.replace("postgresql:", "postgresql+psycopg2:"),
        table_names=["payment"],
        backend=backend,
        backend_kwargs={"conn": url} if backend == "connectorx" else {},
    )
    pipeline = dlt.pipeline(
        "copy",
        destination=dlt.destinations.duckdb(WAREHOUSE),
        dataset_name="copied",
    )
    pipeline.run(source)
    seconds = time.perf_counter() - started
    with duckdb.connect(WAREHOUSE) as copied:
        found = copied.execute("select count(*) from copied.payment").fetchone()
    if found != (rows,):
        sys.exit(f"dlt copied {found} rows instead of {rows}")
    print_cost(seconds)


if __name__ == "__main__":
    main(sys.stdin.read(), sys.argv[1], int(sys.argv[2]))
