"""The documentation pages: diagrams, column lineage and dbt docs, as files that need no server.

The pages load nothing external and contain no inline script: they work under a strict content security policy.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.publishing.documentation.entity_model import (
    MARTS_LAYER,
    RAW_LAYER,
    EntityModel,
    read_entity_model,
)
from dvd_rental_pipeline.publishing.documentation.layout import lay_out
from dvd_rental_pipeline.publishing.documentation.lineage import ColumnName, Lineage, trace
from dvd_rental_pipeline.publishing.documentation.record_schema import list_properties
from dvd_rental_pipeline.publishing.documentation.svg import render_svg
from dvd_rental_pipeline.publishing.search_index import SearchEntry, write_search_index
from dvd_rental_pipeline.publishing.templates import (
    THEME_FILES,
    copy_files,
    script_json,
    site_values,
    template_environment,
)
from dvd_rental_pipeline.transform.manifest import read_manifest

LAYERS = ("reports", MARTS_LAYER, "snapshots", "staging", RAW_LAYER)
DIAGRAMS = {
    "source": (RAW_LAYER, "The source", "The replicated tables, as the source database declares them."),
    "marts": (MARTS_LAYER, "The marts", "Facts (blue) and dimensions, as analysts query them."),
}


@dataclass(frozen=True)
class DocumentationStatistics:
    """What the pages cover: `traced` columns have lineage. `summary` is a Markdown table by layer."""

    tables: int
    columns: int
    traced: int
    bytes: int
    summary: str


def write_documentation(
    dbt_docs: Path, domains: Sequence[Domain], folder: Path, record_schemas: Sequence[Path]
) -> DocumentationStatistics:
    """Write all pages into `folder`, from the output of `dbt docs generate --static` in `dbt_docs`.

    `record_schemas` are files with JSON Schemas of records.

    Raises:
        LineageError: the project was parsed but not compiled.
    """
    manifest = read_manifest(dbt_docs / "manifest.json")
    model = read_entity_model(manifest, domains)
    lineage = trace(manifest, model)
    columns = sum(len(names) for names in lineage.columns.values())
    _write_page(
        folder / "index.html",
        "index.html",
        title="Documentation",
        tables=len(model.tables),
        columns=columns,
        source_tables=len(model.only(RAW_LAYER).tables),
    )
    _write_records(record_schemas, folder)
    for name, (layer, title, explanation) in DIAGRAMS.items():
        part = model.only(layer)
        drawing = lay_out(part)
        (folder / f"{name}.svg").write_text(render_svg(drawing, title), encoding="utf-8")
        _write_page(
            folder / f"{name}.html",
            "diagram.html",
            title=title,
            explanation=explanation,
            image=f"{name}.svg",
            wide=True,
            width=round(drawing.width),
            height=round(drawing.height),
            names=", ".join(table.short_name for table in part.tables.values()),
        )
    _write_page(
        folder / "lineage.html",
        "lineage.html",
        title="Column lineage",
        wide=True,
        data=script_json(json.dumps(_lineage_graph(model, lineage), ensure_ascii=False, separators=(",", ":"))),
    )
    copy_files((*THEME_FILES, "docs.css", "lineage.js"), folder)
    write_search_index(_search_entries(model), folder)
    shutil.copyfile(dbt_docs / "static_index.html", folder / "dbt.html")
    return DocumentationStatistics(
        tables=len(model.tables),
        columns=columns,
        traced=sum(1 for sources in lineage.parents.values() if sources),
        bytes=sum(file.stat().st_size for file in folder.iterdir()),
        summary=_summary(model, lineage),
    )


def _write_records(files: Sequence[Path], folder: Path) -> None:
    schemas = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    described = [
        {
            "title": schema["title"],
            "description": schema["description"],
            "properties": list_properties(schema),
        }
        for schema in schemas
    ]
    _write_page(folder / "records.html", "records.html", title="Records", wide=True, schemas=described)


def _write_page(file: Path, template: str, **values: Any) -> None:
    text = (
        template_environment()
        .get_template(template)
        .render(**{**site_values("docs"), "page_name": file.stem, **values})
    )
    file.write_text(text, encoding="utf-8")


def _search_entries(model: EntityModel) -> Sequence[SearchEntry]:
    """The tables and their columns."""
    entries = [
        SearchEntry(title, "page", "Docs", f"docs/{page}.html")
        for page, title in (("source", "The source"), ("marts", "The marts"), ("lineage", "Column lineage"))
    ]
    for table in model.tables.values():
        url = f"docs/lineage.html#{table.name}"
        entries.append(SearchEntry(table.name, "table", table.layer, url, table.description))
        entries += [
            SearchEntry(column.name, "column", table.name, f"{url}.{column.name}") for column in table.columns
        ]
    return entries


def _lineage_graph(model: EntityModel, lineage: Lineage) -> Mapping[str, Any]:
    """What lineage.js reads: tables with their columns, and the direct inputs of each column."""
    tables = []
    for name, names in sorted(lineage.columns.items()):
        table = model.tables[name]
        declared = {column.name: column for column in table.columns}
        tables.append(
            {
                "name": name,
                "layer": table.layer,
                "description": table.description,
                "columns": [
                    {
                        "name": column,
                        "type": declared[column].type if column in declared else "",
                        "description": declared[column].description if column in declared else "",
                    }
                    for column in names
                ],
            }
        )
    return {
        "layers": LAYERS,
        "tables": tables,
        "parents": {
            str(column): [str(source) for source in sources]
            for column, sources in lineage.parents.items()
            if sources
        },
    }


def _summary(model: EntityModel, lineage: Lineage) -> str:
    """A Markdown table with the number of tables and columns by layer."""
    rows = []
    for layer in reversed(LAYERS):
        names = [name for name, table in model.tables.items() if table.layer == layer]
        columns = [ColumnName(name, column) for name in names for column in lineage.columns[name]]
        traced = sum(1 for column in columns if lineage.parents.get(column))
        if names:
            rows.append(f"| {layer} | {len(names)} | {len(columns)} | {traced if layer != RAW_LAYER else ''} |")
    return "\n".join(["| layer | tables | columns | traced |", "|---|---:|---:|---:|", *rows])
