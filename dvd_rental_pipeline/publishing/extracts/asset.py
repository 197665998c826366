"""The extracts as an asset downstream of marts and reports, published with the rest of the site."""

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtProject

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.publishing.docs_asset import SITE_GROUP
from dvd_rental_pipeline.publishing.extracts.files import (
    HYPER_FILE,
    Extract,
    can_write_hyper,
    extract_tables,
    write_extracts,
    write_hyper,
)
from dvd_rental_pipeline.publishing.home_page import publish_home
from dvd_rental_pipeline.publishing.reused_part import PartConfig, part_of
from dvd_rental_pipeline.publishing.site import Site
from dvd_rental_pipeline.publishing.templates import (
    THEME_FILES,
    copy_files,
    site_values,
    template_environment,
)
from dvd_rental_pipeline.transform.failing_rows import private_columns
from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline.transform.translator import domain_tag
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

EXTRACTS_KEY = dg.AssetKey([SITE_GROUP, "extracts"])


def build_extracts_asset(
    project: DbtProject,
    domains: Sequence[Domain],
    freshness_policy: dg.FreshnessPolicy,
    automation_condition: dg.AutomationCondition[Any],
) -> dg.AssetsDefinition:
    """The asset ["site", "extracts"]: marts and reports of `project` without private columns.

    They are those of the first of `domains`: with tables of others, a run of one pipeline could not build it.
    """
    declared = extract_tables(read_manifest(project.manifest_path), domains[0].name, frozenset())

    @dg.asset(
        key=EXTRACTS_KEY,
        deps=[dg.AssetKey([table.schema, table.name]) for table in declared],
        group_name=SITE_GROUP,
        owners=["team:analytics_engineering"],
        kinds={"parquet", "csv"},
        tags={"layer": SITE_GROUP, **domain_tag([domains[0].name])},
        freshness_policy=freshness_policy,
        automation_condition=automation_condition,
        description="Every mart and report as Parquet, and as CSV if a sheet can hold it, without personal "
        "data, for Excel, Power BI and notebooks; and as a Tableau extract where the extra `tableau` is "
        "installed.",
    )
    def extracts(
        context: dg.AssetExecutionContext, config: PartConfig, warehouse: WarehouseResource, site: Site
    ) -> dg.MaterializeResult[None]:
        started = time.monotonic()
        manifest = read_manifest(project.manifest_path)
        private = private_columns(manifest, domains)
        tables = extract_tables(manifest, domains[0].name, private)
        extracted = {(table.schema, table.name) for table in tables}
        models = [model for model in manifest.models.values() if model.key in extracted]
        part = part_of(
            site, "extracts", manifest, warehouse, models=models, private=private, options=[can_write_hyper()]
        )
        if (unchanged := part.unchanged(context, config)) is not None:
            return unchanged
        with tempfile.TemporaryDirectory(prefix="extracts-") as folder:
            files = Path(folder, "extracts")
            files.mkdir()
            written = write_extracts(tables, warehouse, files)
            hyper = write_hyper(written, files)
            write_index(written, hyper, files)
            part.sign(files)
            size = sum(file.stat().st_size for file in files.rglob("*") if file.is_file())
            address = site.publish("extracts", files)
        publish_home(site)
        return dg.MaterializeResult(
            metadata={
                "address": dg.MetadataValue.url(address),
                "tables": len(written),
                "rows": sum(extract.rows for extract in written),
                "bytes": size,
                "tableau_extract": hyper is not None,
                "seconds": round(time.monotonic() - started, 2),
            },
            data_version=part.data_version,
        )

    return extracts


def write_index(extracts: Sequence[Extract], hyper: Path | None, folder: Path) -> None:
    """Write the list of `extracts` into `folder`, as a page and as `tables.json`."""
    html = (
        template_environment()
        .get_template("extracts.html")
        .render(
            **site_values("extracts"),
            title="Downloads",
            extracts=extracts,
            hyper=None if hyper is None else HYPER_FILE,
            hyper_bytes=0 if hyper is None else hyper.stat().st_size,
        )
    )
    (folder / "index.html").write_text(html, encoding="utf-8")
    copy_files((*THEME_FILES, "extracts.css"), folder)
    listing = [
        {
            "schema": extract.table.schema,
            "table": extract.table.name,
            "rows": extract.rows,
            "columns": extract.table.columns,
            "left_out": extract.table.hidden,
            "parquet": f"{extract.table.path}.parquet",
            "csv": None if extract.csv_bytes is None else f"{extract.table.path}.csv",
        }
        for extract in extracts
    ]
    (folder / "tables.json").write_text(json.dumps(listing, indent=1), encoding="utf-8")
