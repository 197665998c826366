"""What the messages of the real dbt say of each node: status, failing rows, error, compiled SQL."""

from contextlib import suppress
from pathlib import Path

import duckdb
from dagster_dbt import DagsterDbtCliRuntimeError, DbtProject

from dvd_rental_pipeline.transform.dbt_output import messages
from dvd_rental_pipeline.transform.dbt_resource import build_dbt_resource
from dvd_rental_pipeline.transform.dbt_results import NodeResult, note_result
from dvd_rental_pipeline_tests.forked_programs import forked_dbt

FILES = {
    "dbt_project.yml": "{name: small, version: 1.0.0, profile: small}",
    "models/numbers.sql": "select 1 as n union all select 1 as n",
    "models/broken.sql": "select * from no_such_table",
    "models/reader.sql": "select * from {{ ref('broken') }}",
    "models/tests.yml": """
models:
  - name: numbers
    columns:
      - name: n
        data_tests:
          - not_null: {name: passes}
          - unique: {name: fails}
          - unique: {name: warns, config: {severity: warn}}
          - accepted_values: {name: breaks, arguments: {values: [x]}}
""",
}


def build(folder: Path) -> dict[str, NodeResult]:
    """The results of `dbt build` in a project of `FILES`, by the names of the nodes."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    output = f"{{type: duckdb, path: '{folder}/warehouse.duckdb'}}"
    (folder / "profiles.yml").write_text(f"small: {{target: local, outputs: {{local: {output}}}}}")
    with forked_dbt():
        dbt = build_dbt_resource(DbtProject(folder, target="local"))
        build = dbt.cli(["build", "--no-write-json"], manifest={}, target_path=folder / "target")
        results: dict[str, NodeResult] = {}
        with suppress(DagsterDbtCliRuntimeError):
            for message in messages(build):
                note_result(results, message)
    return {unique_id.split(".")[2]: result for unique_id, result in results.items()}


def test_each_executed_node_has_its_result(tmp_path: Path) -> None:
    results = build(tmp_path)
    assert {name: (result.status, result.failures) for name, result in results.items()} == {
        "numbers": ("success", 0),
        "broken": ("error", 0),
        "passes": ("pass", 0),
        "fails": ("fail", 1),
        "warns": ("warn", 1),
        "breaks": ("error", 0),
    }, "the skipped node was not executed"
    assert "no_such_table does not exist" in results["broken"].message
    assert "Could not convert string 'x'" in results["breaks"].message
    assert results["passes"].message == results["passes"].sql == ""
    with duckdb.connect(tmp_path / "warehouse.duckdb") as warehouse:
        for name in ("fails", "warns"):
            assert warehouse.execute(results[name].sql).fetchall() == [(1, 2)]
