"""Seconds and memory of one batch of new users from the request to the commit, beside a bare COPY of them.

`python benchmarks/signups.py [--users 5000] [--rounds 3]` prints a table. Each method runs in a process of its
own, and the local API in this one: building its answer is part of a request.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from measuring import Comparison, Cost, parse_cost, print_cost

from dvd_rental_pipeline.ingestion.http.json_client import JsonClient
from dvd_rental_pipeline.pipelines.signups.batch import BatchRequest
from dvd_rental_pipeline.pipelines.signups.load import load_due_minutes
from dvd_rental_pipeline.pipelines.signups.store import open_store
from dvd_rental_pipeline.pipelines.signups.validation import validate
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.signups_api.server import running_signups_api

METHODS = ("bare COPY of the users", "request alone", "request to commit")
MINUTE = datetime(2026, 3, 1, 12, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--method", choices=METHODS)
    parser.add_argument("--api")
    parser.add_argument("--database")
    arguments = parser.parse_args()
    if arguments.method:
        print_cost(measure(arguments.method, arguments.api, arguments.database, arguments.users))
        return
    comparison = Comparison()
    with tempfile.TemporaryDirectory() as folder, running_signups_api() as api:
        api.limit = sys.maxsize
        server = EmbeddedPostgres(Path(folder, "postgres"))
        with server.lease() as url:
            for _ in range(arguments.rounds):
                comparison.measure(
                    {method: _process(method, api.url, url, arguments.users) for method in METHODS}
                )
        server.stop()
    print(f"{arguments.users:,} users, load {os.getloadavg()[0]:.1f}\n")
    print(comparison.table(arguments.users, "users"))


def measure(method: str, api_url: str, database_url: str, users: int) -> float:
    """Seconds of `method`; what it needs is prepared before."""
    client = JsonClient(api_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop schema if exists signups cascade")
        with open_store(database_url) as store:
            store.load(MINUTE - timedelta(minutes=1), [], [])
            if method == "request alone":
                started = time.perf_counter()
                BatchRequest(MINUTE, users).fetch(client)
                return time.perf_counter() - started
            if method == "request to commit":
                started = time.perf_counter()
                load_due_minutes(store, client, MINUTE + timedelta(minutes=1), batch_size=users)
                return time.perf_counter() - started
            valid, _ = validate(BatchRequest(MINUTE, users).fetch(client))
        rows = [tuple(vars(user).values()) for user in valid]
        columns = ", ".join(vars(valid[0]))
        started = time.perf_counter()
        copy = f"copy signups.users ({columns}, first_seen_at, updated_at) from stdin"
        with connection.cursor().copy(copy.encode()) as stream:
            for row in rows:
                stream.write_row((*row, MINUTE, MINUTE))
        return time.perf_counter() - started


def _process(method: str, api_url: str, database_url: str, users: int) -> Callable[[], Cost]:
    command = ["--method", method, "--api", api_url, "--database", database_url, "--users", str(users)]

    def run() -> Cost:
        done = subprocess.run(
            [sys.executable, __file__, *command], stdout=subprocess.PIPE, text=True, check=True
        )
        return parse_cost(done.stdout)

    return run


if __name__ == "__main__":
    main()
