"""Writes the files that are rendered from the catalogues and the dbt project: dbt's sources, the data model.

`python -m dvd_rental_pipeline.pipelines.render` writes them for all pipelines; tests fail when they are out of
date.
"""

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.registry import PIPELINES
from dvd_rental_pipeline.publishing.documentation.data_model import DATA_MODEL_FILE, render_data_model
from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.transform.sources import render_sources, sources_file


def main() -> None:
    """Write the files."""
    domains = [pipeline.domain for pipeline in PIPELINES]
    for domain in domains:
        sources_file(domain).write_text(render_sources(domain), encoding="utf-8")
    # Parsed after the sources are written: the data model shows them.
    project = load_dbt_project(Settings.load())
    text = render_data_model(read_manifest(project.manifest_path), domains)
    DATA_MODEL_FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
