"""Time and memory of the totesys steps: `python benchmarks/totesys.py` prints and writes a table.

Sales orders are inserted into a fresh database. Each step then runs in a process of its own, whose peak memory
is measured, beside a copy of the landed file by pyarrow, batch by batch, which is the limit.
"""

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pyarrow.parquet as pq

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.ingestion.files.folder_store import FolderStore
from dvd_rental_pipeline.ingestion.files.landing import LandingZone
from dvd_rental_pipeline.ingestion.postgres_watermark.ingest import ingest
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.load import load
from dvd_rental_pipeline.pipelines.totesys.processed import ProcessedZone
from dvd_rental_pipeline.pipelines.totesys.transform import transform
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.totesys.generate import generate
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse

RESULTS = PROJECT_ROOT / "benchmarks" / "results" / "totesys.md"
STEPS = ("copy by pyarrow", "ingestion", "transformation", "loading")
INSERT = """
    insert into sales_order (created_at, last_updated, design_id, staff_id, counterparty_id, units_sold,
        unit_price, currency_id, agreed_delivery_date, agreed_payment_date, agreed_delivery_location_id)
    select day, day, 1 + n %% 400, 1 + n %% 20, 1 + n %% 20, 1001 + n %% 90000, 2 + (n %% 200) / 100.0,
        1 + n %% 3, to_char(day + interval '3 days', 'YYYY-MM-DD'),
        to_char(day + interval '5 days', 'YYYY-MM-DD'),
        1 + n %% 30
    from generate_series(1, %s) as n,
        lateral (select timestamp '2024-01-01' + n * interval '1 second' as day) as days
"""


def run_step(step: str, folder: Path, url: str) -> None:
    """Run one step, and print its seconds and peak memory in MB."""
    landing = LandingZone(FolderStore(folder / "landing"), "totesys")
    processed = ProcessedZone(FolderStore(folder / "processed"), "totesys")
    started = time.monotonic()
    match step:
        case "ingestion":
            ingest(url, TOTESYS, landing)
        case "transformation":
            transform(landing, processed)
        case "loading":
            load(DuckDBWarehouse(folder / "warehouse.duckdb"), landing, processed)
        case _:
            (file,) = landing.manifests()[0].of("sales_order")
            source = pq.ParquetFile(landing.store.address(file.key))
            with pq.ParquetWriter(folder / "copy.parquet", source.schema_arrow, compression="zstd") as copy:
                for batch in source.iter_batches():
                    copy.write_batch(batch)
    seconds = time.monotonic() - started
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure the steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--step", nargs=3, metavar=("STEP", "FOLDER", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        run_step(arguments.step[0], Path(arguments.step[1]), arguments.step[2])
        return
    costs = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = EmbeddedPostgres(folder / "postgres")
        with server.lease("totesys") as url:
            generate(url, scale=0.01)
            with psycopg.connect(url, autocommit=True) as connection:
                # Every reference exists: checking ten million of them takes longer than all steps.
                connection.execute("set session_replication_role = replica")
                connection.execute(INSERT, [arguments.orders])
            for step in (*STEPS[1:], STEPS[0]):
                output = subprocess.run(
                    [sys.executable, __file__, "--step", step, str(folder), url],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
                costs[step] = [float(figure) for figure in output.split()]
        server.stop()
        landed = sum(file.stat().st_size for file in (folder / "landing").rglob("*.parquet")) / 1e6
    limit = costs[STEPS[0]][0]
    lines = [
        f"| {step} | {costs[step][0]:.1f} | {costs[step][0] / limit:.1f} | "
        f"{arguments.orders / costs[step][0]:,.0f} | {costs[step][1]:,.0f} |"
        for step in STEPS
    ]
    text = (
        "# totesys\n\n"
        f"{arguments.orders:,} sales orders, {landed:,.0f} MB of landed Parquet. "
        f"{platform.machine()}, Python {platform.python_version()}, other work on the machine.\n\n"
        "| step | seconds | multiple of the copy | orders per second | peak MB |\n|---|---:|---:|---:|---:|\n"
        + "\n".join(lines)
        + "\n"
    )
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
