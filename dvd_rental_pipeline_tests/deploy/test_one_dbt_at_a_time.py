"""Two runs of dbt at once could write a version of a history twice: deployed instances let one in at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.transform.assets import DBT_POOL

DEPLOYED = ["deploy/ecs/dagster.yaml", "deploy/compose/dagster.yaml"]


def instance_config(path: str) -> Any:
    return yaml.safe_load((PROJECT_ROOT / path).read_text())


def run_beside_another(instance: dg.DagsterInstance) -> tuple[bool, bool]:
    """Whether a step of dbt's pool runs while another run is in it, and whether once that has left it."""
    ran = threading.Event()

    # As the graph's own step is: a test of the definitions holds that.
    @dg.asset(pool=DBT_POOL)
    def model() -> None:
        ran.set()

    storage = instance.event_log_storage
    storage.claim_concurrency_slot(DBT_POOL, "another", "dbt_models")
    with ThreadPoolExecutor() as pool:
        run = pool.submit(lambda: dg.materialize([model], instance=instance))
        at_once = ran.wait(2)
        storage.free_concurrency_slots_for_run("another")
        return at_once, run.result(timeout=60).success


@pytest.mark.parametrize("path", DEPLOYED)
def test_a_second_run_of_dbt_waits_until_the_first_has_left_the_pool(path: str, tmp_path: Path) -> None:
    overrides = {"concurrency": instance_config(path)["concurrency"]}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        instance.event_log_storage.initialize_concurrency_limit_to_default(DBT_POOL)
        assert run_beside_another(instance) == (False, True)


@pytest.mark.parametrize("path", DEPLOYED)
def test_a_killed_run_does_not_keep_its_place(path: str) -> None:
    monitoring = instance_config(path)["run_monitoring"]
    assert monitoring["enabled"]
    assert monitoring["free_slots_after_run_end_seconds"] > 0


def test_a_local_instance_leaves_that_to_the_lock_of_the_file(tmp_path: Path) -> None:
    overrides = {"concurrency": instance_config("dagster.yaml").get("concurrency", {})}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        assert run_beside_another(instance) == (True, True)
