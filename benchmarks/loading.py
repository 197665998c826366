"""Processor time of one process that loads all definitions: `python benchmarks/loading.py` prints a table.

The settings of production are complete but name no real service: loading makes no request. dbt's manifest is
prepared before, as in the image.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 3
LOAD = """
import json, time
started = time.process_time()
import dagster as dg, dagster_dbt, dagster_dbt.asset_utils
{more}
imported = time.process_time()
from dvd_rental_pipeline.core.settings import Settings
settings = Settings.load()
read = time.process_time()
import dvd_rental_pipeline.definitions as location
from dvd_rental_pipeline.pipelines.sales import assets
from dvd_rental_pipeline.pipelines.signups import assets, resources
from dvd_rental_pipeline.pipelines.totesys import assets, automation, checks, lake
modules = time.process_time()
definitions = location.build_definitions(settings)
repository = definitions.get_repository_def()
loaded = time.process_time()
graph = repository.asset_graph
print(json.dumps({{
    "bare imports": imported - started,
    "settings": read - imported,
    "the project's own modules": modules - read,
    "the definitions": loaded - modules,
    "total without the first row": loaded - imported,
    "assets": len(graph.materializable_asset_keys),
    "checks": len(graph.asset_check_keys),
}}))
"""
PRODUCTION = {
    "DVD_RENTAL_SOURCE_URL": "postgresql://airbyte:secret@source.example/rentals",
    "DVD_RENTAL_AIRBYTE_URL": "https://airbyte.example",
    "DVD_RENTAL_AIRBYTE_WORKSPACE_ID": "workspace",
    "DVD_RENTAL_AIRBYTE_CLIENT_ID": "client",
    "DVD_RENTAL_AIRBYTE_CLIENT_SECRET": "secret",
    "DVD_RENTAL_AIRBYTE_CONNECTION_ID": "connection",
    "DVD_RENTAL_SIGNUPS_API_URL": "https://api.example",
    "DVD_RENTAL_SIGNUPS_DATABASE_URL": "postgresql://writer:secret@source.example/signups",
    "DVD_RENTAL_SIGNUPS_AIRBYTE_CONNECTION_ID": "connection",
    "DVD_RENTAL_TOTESYS_SOURCE_URL": "postgresql://reader:secret@source.example/totesys",
    "DVD_RENTAL_LANDING": "s3://landing",
    "DVD_RENTAL_PROCESSED": "s3://processed",
    "DVD_RENTAL_SALES_FILES": "s3://sales",
    "DVD_RENTAL_SITE_BUCKET": "site",
    "DVD_RENTAL_ALERTS_TOPIC": "arn:aws:sns:eu-west-1:123456789012:alerts",
    "DVD_RENTAL_SNOWFLAKE_ACCOUNT": "account",
    "DVD_RENTAL_SNOWFLAKE_USER": "user",
    "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH": "/key.p8",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        loads = {name: _measure(name, Path(folder) / name) for name in ("local", "production")}
    print(f"Load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n")
    print("| | local | production |\n|---|---|---|")
    for row in loads["local"][0]:
        medians = [statistics.median(load[row] for load in each) for each in loads.values()]
        print(f"| {row} | {' | '.join(f'{value:.2f}' if value % 1 else f'{value:.0f}' for value in medians)} |")


def _measure(deployment: str, home: Path) -> list[dict[str, float]]:
    """Load in a new process, this often, after a first time that prepares dbt's manifest."""
    # Bare imports: what the integrations of the deployment cost without this project.
    more = "import dagster_airbyte" if deployment == "production" else "import pandas, pyarrow"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DVD_RENTAL_")},
        **(PRODUCTION if deployment == "production" else {}),
        "DVD_RENTAL_DEPLOYMENT": deployment,
        "DVD_RENTAL_HOME": str(home),
    }
    loads = []
    for _ in range(ROUNDS + 1):
        done = subprocess.run(
            [sys.executable, "-c", LOAD.format(more=more)],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        loads.append(json.loads(done.stdout.splitlines()[-1]))
    return loads[1:]


if __name__ == "__main__":
    main()
