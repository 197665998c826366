"""Concurrent dbt steps could write a snapshot version twice: deployed instances run one at a time."""

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


def run_while_the_pool_is_taken(instance: dg.DagsterInstance, wait_seconds: float) -> tuple[bool, bool]:
    """Run a step of dbt's pool while another run has a slot of it, which is freed after `wait_seconds` at most.

    Returns whether the step started before that, and whether the run succeeded.
    """
    started = threading.Event()

    # The graph's own step is in this pool, which a test of the definitions asserts.
    @dg.asset(pool=DBT_POOL)
    def model() -> None:
        started.set()

    storage = instance.event_log_storage
    storage.claim_concurrency_slot(DBT_POOL, "another", "dbt_models")
    with ThreadPoolExecutor() as pool:
        run = pool.submit(lambda: dg.materialize([model], instance=instance))
        started_at_once = started.wait(wait_seconds)
        storage.free_concurrency_slots_for_run("another")
        return started_at_once, run.result(timeout=60).success


@pytest.mark.parametrize("path", [DEPLOYED[0], pytest.param(DEPLOYED[1], marks=pytest.mark.slow)])
def test_a_second_dbt_step_waits_for_the_pool(path: str, tmp_path: Path) -> None:
    overrides = {"concurrency": instance_config(path)["concurrency"]}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        instance.event_log_storage.initialize_concurrency_limit_to_default(DBT_POOL)
        assert run_while_the_pool_is_taken(instance, wait_seconds=2) == (False, True)


@pytest.mark.parametrize("path", DEPLOYED)
def test_the_pool_slot_of_a_killed_run_is_freed(path: str) -> None:
    monitoring = instance_config(path)["run_monitoring"]
    assert monitoring["enabled"]
    assert monitoring["free_slots_after_run_end_seconds"] > 0


def test_a_local_instance_has_no_pool_limit_since_duckdb_locks_its_file(tmp_path: Path) -> None:
    overrides = {"concurrency": instance_config("dagster.yaml").get("concurrency", {})}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        assert run_while_the_pool_is_taken(instance, wait_seconds=60) == (True, True)
