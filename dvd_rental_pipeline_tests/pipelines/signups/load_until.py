"""The process that the test of a day kills: loads what is due until a time of the simulated day.

`python -m dvd_rental_pipeline_tests.pipelines.signups.load_until API_URL DATABASE_URL TIME SIZE`
"""

import sys
from datetime import datetime

from dvd_rental_pipeline.ingestion.http.json_client import JsonClient
from dvd_rental_pipeline.pipelines.signups.load import load_due_minutes
from dvd_rental_pipeline.pipelines.signups.store import open_store
from dvd_rental_pipeline_tests.pipelines.signups.records import QUICK


def main() -> None:
    api_url, database_url, until, size = sys.argv[1:]
    with open_store(database_url) as store:
        client = JsonClient(api_url, QUICK)
        while load_due_minutes(store, client, datetime.fromisoformat(until), batch_size=int(size)).minutes_due:
            pass


if __name__ == "__main__":
    main()
