"""dbt selects exactly the nodes of the artifact."""

from pathlib import Path

from dvd_rental_pipeline.transform.dbt_selection import write_selection
from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline_tests.dbt_runner import run_dbt
from dvd_rental_pipeline_tests.parsed_project import ParsedProject


def test_dbt_selects_the_nodes_and_no_test_that_belongs_to_them(
    parsed_project: ParsedProject, tmp_path: Path
) -> None:
    manifest = read_manifest(parsed_project.target_path("local") / "manifest.json")
    nodes = {*sorted(manifest.models)[::3], *sorted(manifest.tests)[::7]}
    listed = run_dbt(
        *("ls", "--quiet", "--output", "json", "--output-keys", "unique_id", "--target", "local"),
        *write_selection(nodes, tmp_path / "selected"),
        target_path=tmp_path,
        environment={"DVD_RENTAL_HOME": str(parsed_project.folder)},
        manifest=parsed_project.manifest("local"),
    )
    assert listed.succeeded, listed.stdout
    assert {line.split('"')[3] for line in listed.stdout.splitlines() if line.startswith("{")} == nodes
