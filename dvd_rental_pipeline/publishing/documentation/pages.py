"""The documentation pages: diagrams and column lineage beside dbt's own docs, as files that need no server.

The pages load nothing from elsewhere and hold no script of their own: a strict content-security policy fits.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.publishing.documentation.lineage import ColumnName, Lineage, trace
from dvd_rental_pipeline.publishing.documentation.svg import entity_svg
from dvd_rental_pipeline.transform.manifest import MARTS_LAYER, RAW_LAYER, Model, read_model

PAGES = Path(__file__).parents[1] / "pages"
LAYERS = ("reports", MARTS_LAYER, "snapshots", "staging", RAW_LAYER)
DIAGRAMS = {
    "source": (RAW_LAYER, "The source", "The replicated tables, as the database of the stores has them."),
    "marts": (MARTS_LAYER, "The marts", "Facts (blue) and dimensions, as analysts read them."),
}


@dataclass(frozen=True)
class Documented:
    """What the pages tell of."""

    tables: int
    columns: int
    traced: int
    bytes: int
    summary: str


def write_documentation(dbt_docs: Path, domains: Sequence[Domain], folder: Path) -> Documented:
    """Write every page into `folder`, from what `dbt docs generate --static` has left in `dbt_docs`.

    Raises:
        LineageError: the project was parsed but not compiled.
    """
    manifest = json.loads((dbt_docs / "manifest.json").read_text(encoding="utf-8"))
    model = read_model(manifest, domains)
    lineage = trace(manifest, model)
    environment = Environment(
        loader=PackageLoader("dvd_rental_pipeline.publishing", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )

    def page(name: str, template: str, **values: Any) -> None:
        text = environment.get_template(template).render(**{"wide": False, **values})
        (folder / name).write_text(text, encoding="utf-8")

    columns = sum(len(names) for names in lineage.columns.values())
    source_tables = len(model.only(RAW_LAYER).tables)
    page(
        "index.html",
        "index.html",
        title="Documentation",
        tables=len(model.tables),
        columns=columns,
        source_tables=source_tables,
    )
    for name, (layer, title, explanation) in DIAGRAMS.items():
        part = model.only(layer)
        svg = entity_svg(part, title)
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        width, height = re.findall(r'(?:width|height)="(\d+)"', svg)[:2]
        page(
            f"{name}.html",
            "diagram.html",
            title=title,
            explanation=explanation,
            image=f"{name}.svg",
            wide=True,
            width=width,
            height=height,
            names=", ".join(table.short_name for table in part.tables.values()),
        )
    page(
        "lineage.html",
        "lineage.html",
        title="Column lineage",
        wide=True,
        data=_embedded(_graph(model, lineage)),
    )
    for name in ("style.css", "lineage.js"):
        shutil.copyfile(PAGES / name, folder / name)
    shutil.copyfile(dbt_docs / "static_index.html", folder / "dbt.html")
    return Documented(
        tables=len(model.tables),
        columns=columns,
        traced=sum(1 for sources in lineage.parents.values() if sources),
        bytes=sum(file.stat().st_size for file in folder.iterdir()),
        summary=_summary(model, lineage),
    )


def _graph(model: Model, lineage: Lineage) -> Mapping[str, Any]:
    tables = []
    for name, names in lineage.columns.items():
        declared = {column.name: column for column in model.tables[name].columns}
        tables.append(
            {
                "name": name,
                "layer": model.tables[name].layer,
                "description": model.tables[name].description,
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
        "tables": sorted(tables, key=lambda table: table["name"]),
        "parents": {
            str(column): [str(source) for source in sources]
            for column, sources in lineage.parents.items()
            if sources
        },
    }


def _summary(model: Model, lineage: Lineage) -> str:
    """A small table in Markdown: what there is in each layer."""
    rows = []
    for layer in reversed(LAYERS):
        names = [name for name, table in model.tables.items() if table.layer == layer]
        columns = [ColumnName(name, column) for name in names for column in lineage.columns[name]]
        traced = sum(1 for column in columns if lineage.parents.get(column))
        if names:
            rows.append(f"| {layer} | {len(names)} | {len(columns)} | {traced if layer != RAW_LAYER else ''} |")
    return "\n".join(["| layer | tables | columns | traced |", "|---|---:|---:|---:|", *rows])


def _embedded(data: Mapping[str, Any]) -> Markup:
    """JSON that can stand in a script element, whatever the texts hold."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))  # noqa: S704 - escaped here
