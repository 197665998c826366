"""The metrics say what is in Dagster's storage, and a real Prometheus reads and queries them."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from dvd_rental_pipeline.automation.alert_policy import AlertState
from dvd_rental_pipeline.automation.failed_checks import failed_check_alerts
from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.publishing.metrics.collector import PlatformCollector
from dvd_rental_pipeline_tests.stand_ins.recorded_alerts import RecordedAlerts

DEPLOY = PROJECT_ROOT / "deploy" / "prometheus"
TICKETS = dg.AssetKey(["cinema", "tickets"])
QUARANTINE = dg.AssetKey(["cinema", "quarantine"])
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None,
    reason="Prometheus is not installed: apt-get install prometheus",
)


def build_cinema(rows: int = 7, on_build: Callable[[], None] = lambda: None) -> dg.Definitions:
    """A graph with an asset, a blocking check that fails, and one that passes."""

    @dg.asset(
        key=TICKETS,
        tags={"layer": "raw"},
        check_specs=[
            dg.AssetCheckSpec("no_gaps", asset=TICKETS, blocking=True),
            dg.AssetCheckSpec("slot_is_short", asset=TICKETS),
        ],
    )
    def tickets() -> dg.MaterializeResult:  # type: ignore[type-arg]
        on_build()
        return dg.MaterializeResult(
            metadata={"dagster/row_count": rows, "data_as_of": dg.MetadataValue.timestamp(1_700_000_000.0)},
            check_results=[
                dg.AssetCheckResult(check_name="no_gaps", passed=False, metadata={"failed_rows": 3}),
                dg.AssetCheckResult(
                    check_name="slot_is_short",
                    passed=True,
                    metadata={
                        "retained_bytes": 2_000_000_000,
                        "commit_lag_seconds": 60.5,
                        "latency_seconds": 90.5,
                    },
                ),
            ],
        )

    @dg.asset(key=["cinema", "posters"], tags={"layer": "raw"})
    def posters() -> None: ...

    @dg.asset(key=QUARANTINE, tags={"layer": "raw"})
    def quarantine() -> dg.MaterializeResult:  # type: ignore[type-arg]
        return dg.MaterializeResult(metadata={"dagster/row_count": 2})

    return dg.Definitions(
        assets=[tickets, posters, quarantine],
        jobs=[dg.define_asset_job("cinema", selection=[tickets])],
        sensors=[failed_check_alerts],
        resources={"alerts": RecordedAlerts()},
    )


def evaluate_alerts(instance: dg.DagsterInstance, states: Mapping[str, AlertState]) -> None:
    """Store the states of the sensor of failed checks, as the daemon does after an evaluation."""
    code_location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="cinema"))
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(code_location, "__repository__"), failed_check_alerts.name
    )
    cursor = json.dumps({subject: asdict(state) for subject, state in states.items()})
    data = SensorInstigatorData(last_tick_timestamp=1.0, cursor=cursor)
    instance.add_instigator_state(
        InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
    )


@pytest.fixture
def instance(history_folder: Path) -> Iterator[dg.DagsterInstance]:
    # An ephemeral instance stores no states of sensors.
    with dg.DagsterInstance.local_temp(str(history_folder)) as created:
        yield created


def registry_of(definitions: dg.Definitions, instance: dg.DagsterInstance) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(PlatformCollector(definitions, instance))
    return registry


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[str, ...]], float]:
    """Value by metric and values of the labels."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_without_runs_there_are_no_samples(instance: dg.DagsterInstance) -> None:
    assert samples(registry_of(build_cinema(), instance)) == {}


def test_runs_assets_and_checks_are_measured(instance: dg.DagsterInstance) -> None:
    definitions = build_cinema()
    before = time.time()
    run = definitions.resolve_job_def("cinema").execute_in_process(instance=instance, raise_on_error=False)
    definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, raise_on_error=False
    )
    found = samples(registry_of(definitions, instance))
    tickets = "cinema/tickets"
    built = found.pop(("dvd_rental_asset_last_materialization_timestamp_seconds", (tickets, "raw")))
    assert before <= built <= time.time()
    stats = instance.get_run_stats(run.run_id)
    assert stats.start_time is not None
    assert stats.end_time is not None
    duration = found.pop(("dvd_rental_last_run_duration_seconds", ("cinema",)))
    assert duration == pytest.approx(stats.end_time - stats.start_time, abs=0.01)
    assert found.pop(("dvd_rental_last_run_duration_seconds", ("other",))) > 0
    posters = ("dvd_rental_asset_last_materialization_timestamp_seconds", ("cinema/posters", "raw"))
    assert found.pop(posters) > before
    quarantine = ("cinema/quarantine", "raw")
    assert found.pop(("dvd_rental_asset_last_materialization_timestamp_seconds", quarantine)) > before
    assert found.pop(("dvd_rental_asset_rows", quarantine)) == 2
    assert found == {
        ("dvd_rental_asset_rows", (tickets, "raw")): 7,
        ("dvd_rental_asset_data_timestamp_seconds", (tickets, "raw")): 1_700_000_000,
        ("dvd_rental_check_passed", (tickets, "true", "no_gaps")): 0,
        ("dvd_rental_check_passed", (tickets, "false", "slot_is_short")): 1,
        ("dvd_rental_check_failed_rows", (tickets, "no_gaps")): 3,
        ("dvd_rental_slot_retained_bytes", (tickets,)): 2_000_000_000,
        ("dvd_rental_commit_lag_seconds", (tickets,)): 60.5,
        ("dvd_rental_latency_seconds", (tickets,)): 90.5,
        ("dvd_rental_runs", ("cinema", "failure")): 1,
        ("dvd_rental_runs", ("other", "failure")): 1,
    }


def test_a_run_that_has_not_evaluated_a_check_does_not_hide_its_result(instance: dg.DagsterInstance) -> None:
    seen: list[dict[tuple[str, tuple[str, ...]], float]] = []
    definitions = build_cinema(on_build=lambda: seen.append(samples(registry)))
    registry = registry_of(definitions, instance)
    for _ in range(2):
        definitions.resolve_job_def("cinema").execute_in_process(instance=instance, raise_on_error=False)
    no_gaps = ("dvd_rental_check_passed", ("cinema/tickets", "true", "no_gaps"))
    assert [found.get(no_gaps) for found in seen] == [None, 0]


def test_open_alerts_are_counted_once_the_sensor_has_run(instance: dg.DagsterInstance) -> None:
    registry = registry_of(build_cinema(), instance)
    opened = ("dvd_rental_open_alerts", (failed_check_alerts.name,))
    assert opened not in samples(registry)
    failing, waiting = AlertState(True, True, 1.0), AlertState(False, True, 1.0)
    evaluate_alerts(instance, {"cinema/tickets": failing, "cinema/posters": waiting})
    assert samples(registry)[opened] == 1


def test_labels_do_not_grow_with_the_history(instance: dg.DagsterInstance) -> None:
    definitions = build_cinema()
    job = definitions.resolve_job_def("cinema")
    counts = []
    for _ in range(3):
        job.execute_in_process(instance=instance, raise_on_error=False)
        counts.append(len(samples(registry_of(definitions, instance))))
    assert counts[0] == counts[1] == counts[2]


def test_assets_that_are_gone_are_not_measured(instance: dg.DagsterInstance) -> None:
    build_cinema().resolve_job_def("cinema").execute_in_process(instance=instance, raise_on_error=False)
    nothing = dg.Definitions(assets=[dg.AssetSpec("empty")])
    assert {name for name, _ in samples(registry_of(nothing, instance))} == {
        "dvd_rental_runs",
        "dvd_rental_last_run_duration_seconds",
    }


class Prometheus:
    """A Prometheus that scrapes one target every second and evaluates the alerts of deploy/."""

    def __init__(self, folder: Path, target: str) -> None:
        config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["scrape_timeout"] = "1s"
        config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        rules = (DEPLOY / "alerts.yml").read_text()
        (folder / "alerts.yml").write_text(rules.replace("for: 5m", "for: 0s"))
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                str(PROMETHEUS),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def get(self, path: str, **parameters: str) -> Any:
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=5) as response:
            return json.load(response)["data"]

    def wait(self, ready: Callable[[], Any], seconds: float = 60) -> Any:
        """What `ready` returns once that is true."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if found := ready():
                    return found
            except (urllib.error.URLError, OSError):
                pass
            assert time.monotonic() < deadline, "Prometheus did not get there in time"
            time.sleep(0.2)


def prometheus_expressions() -> list[str]:
    """The queries of the panels of all dashboards that read Prometheus."""
    files = (PROJECT_ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")
    panels = [panel for file in sorted(files) for panel in json.loads(file.read_text())["panels"]]
    return [target["expr"] for panel in panels for target in panel["targets"] if "expr" in target]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@needs_prometheus
def test_a_real_prometheus_scrapes_the_metrics_and_alerts(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    definitions = build_cinema()
    definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, raise_on_error=False
    )
    evaluate_alerts(instance, {"cinema/tickets": AlertState(True, True, 1.0)})
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry_of(definitions, instance))
    prometheus = Prometheus(tmp_path, f"127.0.0.1:{server.server_port}")
    try:
        result = prometheus.wait(
            lambda: prometheus.get("query", query='dvd_rental_check_failed_rows{check="no_gaps"}')["result"]
        )
        assert result[0]["value"][1] == "3"
        assert result[0]["metric"]["asset"] == "cinema/tickets"
        names = set(prometheus.get("label/__name__/values"))
        for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
            for rule in group["rules"]:
                prometheus.get("query", query=rule["expr"])
        panels = prometheus_expressions()
        assert len(panels) > 10
        empty = [each for each in panels if not prometheus.get("query", query=each)["result"]]
        assert empty == [], "a panel of the dashboards shows nothing"
        assert {"dvd_rental_runs", "dvd_rental_asset_rows", "dvd_rental_slot_retained_bytes"} <= names
        prometheus.wait(
            lambda: any(
                (each["labels"]["alertname"], each["state"]) == ("BlockingCheckFails", "firing")
                for each in prometheus.get("alerts")["alerts"]
            )
        )
    finally:
        prometheus.process.terminate()
        prometheus.process.wait(20)
        server.shutdown()
        server.server_close()
        thread.join(10)


@needs_prometheus
@pytest.mark.parametrize(
    "command", [["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]]
)
def test_promtool_accepts_the_configuration_and_its_own_tests_pass(command: list[str]) -> None:
    done = subprocess.run([str(PROMTOOL), *command], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_and_a_section_of_the_runbook() -> None:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    tested = {
        case["alertname"]
        for test in yaml.safe_load((DEPLOY / "alerts_test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert {rule["alert"] for rule in group["rules"]} == tested
    headings = {
        line.removeprefix("## ").strip().lower().replace(" ", "-")
        for line in (PROJECT_ROOT / "docs" / "runbook.md").read_text().splitlines()
        if line.startswith("## ")
    }
    sections = {rule["annotations"]["runbook"].partition("#")[2] for rule in group["rules"]}
    assert sections <= headings
