"""The repository's own picture of the data model, `docs/data_model.md`.

`python -m dvd_rental_pipeline.publishing.documentation.data_model` writes
it; a test fails when it is out of date.
"""

import json
from collections.abc import Mapping
from typing import Any

from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.publishing.documentation.mermaid import entity_diagram
from dvd_rental_pipeline.transform.manifest import MARTS_LAYER, RAW_LAYER, read_model
from dvd_rental_pipeline.transform.project import load_dbt_project

DATA_MODEL_FILE = PROJECT_ROOT / "docs" / "data_model.md"


def render_data_model(manifest: Mapping[str, Any]) -> str:
    """The text of `DATA_MODEL_FILE`."""
    model = read_model(manifest, [DVD_RENTAL])
    return (
        "<!-- Rendered by `python -m dvd_rental_pipeline.publishing.documentation.data_model` "
        "from the catalogue and the dbt project. -->\n# The data model\n\n"
        "`PK` is the key of a table, `FK` a reference to the key of another. Every run publishes the same "
        "diagrams, with column lineage and the documentation of dbt, as `.dvd_rental/site/docs/index.html`.\n\n"
        "## The source\n\n"
        "The tables that are replicated into the schema `dvd_rental`, there with the columns of change data "
        "capture as well. A column that is called like the key of another table refers to it, also where no "
        "foreign key guards it.\n\n"
        f"```mermaid\n{entity_diagram(model.only(RAW_LAYER))}```\n\n"
        "## The marts\n\n"
        "Facts and dimensions, in the schema `marts`. A test holds each reference in every run.\n\n"
        f"```mermaid\n{entity_diagram(model.only(MARTS_LAYER))}```\n"
    )


if __name__ == "__main__":
    project = load_dbt_project(Settings.load())
    rendered = render_data_model(json.loads(project.manifest_path.read_text(encoding="utf-8")))
    DATA_MODEL_FILE.parent.mkdir(exist_ok=True)
    DATA_MODEL_FILE.write_text(rendered, encoding="utf-8")
