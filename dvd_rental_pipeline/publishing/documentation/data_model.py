"""The entity-relationship diagrams in this repository, `docs/data_model.md`."""

from collections.abc import Sequence

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.publishing.documentation.entity_model import (
    MARTS_LAYER,
    RAW_LAYER,
    read_entity_model,
)
from dvd_rental_pipeline.publishing.documentation.mermaid import entity_diagram
from dvd_rental_pipeline.transform.manifest import Manifest

DATA_MODEL_FILE = PROJECT_ROOT / "docs" / "data_model.md"


def render_data_model(manifest: Manifest, domains: Sequence[Domain]) -> str:
    """The text of `DATA_MODEL_FILE`."""
    model = read_entity_model(manifest, domains)
    schemas = " and ".join(f"`{domain.name}`" for domain in domains)
    return (
        "<!-- Rendered by `python -m dvd_rental_pipeline.pipelines.render` from the catalogues and the dbt "
        "project. -->\n# The data model\n\n"
        "`PK` marks primary key columns, `FK` foreign keys. Every run publishes the same diagrams, with column "
        "lineage and dbt docs, as `.dvd_rental/site/docs/index.html`.\n\n"
        "## The source\n\n"
        f"The replicated tables, in the warehouse schemas {schemas}, without the columns of change data "
        "capture. A column named like the key of another table refers to that table, also where the source "
        "declares no foreign key.\n\n"
        f"```mermaid\n{entity_diagram(model.only(RAW_LAYER))}```\n\n"
        "## The marts\n\n"
        "Facts and dimensions, in the schema `marts`. A dbt test asserts each reference in every run.\n\n"
        f"```mermaid\n{entity_diagram(model.only(MARTS_LAYER))}```\n"
    )
