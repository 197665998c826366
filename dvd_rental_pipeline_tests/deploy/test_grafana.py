"""The dashboards are those that the code builds, and valid in the models of Grafana's schema."""

import json
import runpy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dagster as dg
import psycopg
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dvd_rental_pipeline.core.settings import PROJECT_ROOT

GRAFANA = PROJECT_ROOT / "deploy" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))


def test_the_files_are_those_that_the_code_builds() -> None:
    rendered: dict[str, str] = runpy.run_path(str(GRAFANA / "build.py"))["render"]()
    assert {file.name: file.read_text() for file in FILES} == rendered, "run python deploy/grafana/build.py"
    assert len(FILES) == 4


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_survives_the_models_of_grafanas_schema(file: Path) -> None:
    document = json.loads(file.read_text())
    again = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(document)))
    assert [panel["title"] for panel in again["panels"]] == [panel["title"] for panel in document["panels"]]
    assert (again["uid"], again["title"]) == (document["uid"], document["title"])
    places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in document["panels"]]
    assert len(set(places)) == len(places)
    assert all(x + width <= 24 for x, _, width, _ in places)


def test_every_data_source_of_a_panel_is_provisioned() -> None:
    text = (GRAFANA / "provisioning" / "datasources" / "datasources.yml").read_text()
    provisioned = {(each["type"], each["uid"]) for each in yaml.safe_load(text)["datasources"]}
    used = {
        (panel["datasource"]["type"], panel["datasource"]["uid"])
        for file in FILES
        for panel in json.loads(file.read_text())["panels"]
    }
    assert used == provisioned


def test_the_profile_of_docker_compose_mounts_what_exists() -> None:
    compose: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text())
    profile = {name: each for name, each in compose["services"].items() if each.get("profiles") == ["grafana"]}
    assert set(profile) == {"metrics", "prometheus", "grafana"}
    for name in ("prometheus", "grafana"):
        sources = [volume.partition(":")[0] for volume in profile[name]["volumes"]]
        assert all((PROJECT_ROOT / source).exists() for source in sources if source.startswith("."))
    scraped = yaml.safe_load((PROJECT_ROOT / "deploy" / "compose" / "prometheus.yml").read_text())
    assert scraped["scrape_configs"][0]["static_configs"] == [{"targets": ["metrics:9464"]}]
    assert profile["metrics"]["command"][:2] == ["dvd-rental", "metrics"]


def test_panels_on_the_run_storage_return_its_runs(database_url: str, tmp_path: Path) -> None:
    queries = [
        target["rawSql"]
        for file in FILES
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
        if panel["datasource"]["uid"] == "runs"
    ]
    url = database_url.replace("postgresql://", "postgresql+psycopg2://", 1)
    storage = {"storage": {"postgres": {"postgres_url": url}}}

    @dg.asset
    def good() -> None: ...

    @dg.asset
    def bad() -> None:
        raise ValueError("no")

    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=storage) as instance:
        for asset in (good, good, bad):
            dg.materialize([asset], instance=instance, raise_on_error=False)
    with psycopg.connect(database_url) as connection:
        shown = [connection.execute(query).fetchall() for query in queries]  # type: ignore[call-overload]
    (rows,) = shown
    assert {(status, count) for _, status, count in rows} == {("success", 2), ("failure", 1)}


def test_the_pictures_in_the_documentation_show_every_panel() -> None:
    """Otherwise: python deploy/grafana/pictures.py PROMETHEUS RUNS WAREHOUSE."""
    for file in FILES:
        name = file.stem.removeprefix("dvd-rental-")
        picture = ElementTree.parse(PROJECT_ROOT / "docs" / "grafana" / f"{name}.svg")  # noqa: S314 - our own file
        shown = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
        assert {panel["title"] for panel in json.loads(file.read_text())["panels"]} <= shown
        assert "no data" not in shown
