"""Links of each asset, in its metadata: its documentation, its check report, its code."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings
from dvd_rental_pipeline.publishing.report_pages.registry import REPORT_PAGES
from dvd_rental_pipeline.publishing.repository import platform
from dvd_rental_pipeline.transform.consumers import CONSUMERS_GROUP

MODEL_LAYERS = frozenset({"staging", "snapshots", "marts", "reports"})
ANCHOR = "pyproject.toml"

Asset: TypeAlias = dg.AssetsDefinition | dg.AssetSpec


def with_links(assets: Sequence[Asset], domains: Sequence[Domain], settings: Settings) -> Sequence[Any]:
    """`assets` with links to pages of the site, and to code: in the repository if `settings` name it.

    Pages exist for the raw tables of `domains` and for models; a consumer has the page that it reads.
    """
    documented = MODEL_LAYERS | {domain.name for domain in domains}
    page_of_consumer = {page.consumer: page.name for page in REPORT_PAGES}

    def link(spec: dg.AssetSpec) -> dg.AssetSpec:
        schema, name = spec.key.path[0], spec.key.path[-1]
        if schema in documented:
            return spec.merge_attributes(metadata=_pages(spec.key, settings))
        if schema == CONSUMERS_GROUP and name in page_of_consumer:
            page = _page(f"{page_of_consumer[name]}/index.html", settings)
            return spec.merge_attributes(metadata={"page": page})
        return spec

    linked = dg.map_asset_specs(link, assets)
    with warnings.catch_warnings():
        # Code references are in beta; the version of Dagster is pinned.
        warnings.simplefilter("ignore", dg.BetaWarning)
        # dbt models already refer to their SQL.
        without = [asset for asset in linked if not _refers_to_code(asset)]
        referring = [
            *dg.with_source_code_references(without),
            *(asset for asset in linked if _refers_to_code(asset)),
        ]
        if settings.code_url is None:
            return referring
        return dg.link_code_references_to_git(
            referring,
            git_url=settings.code_url,
            git_branch=settings.git_branch or "main",
            file_path_mapping=dg.AnchorBasedFilePathMapping(
                local_file_anchor=PROJECT_ROOT / ANCHOR, file_anchor_path_in_repository=ANCHOR
            ),
            platform=platform(settings.code_url),
        )


def _refers_to_code(asset: Asset) -> bool:
    specs = [asset] if isinstance(asset, dg.AssetSpec) else list(asset.specs)
    return any("dagster/code_references" in spec.metadata for spec in specs)


def _pages(key: dg.AssetKey, settings: Settings) -> dict[str, dg.MetadataValue]:
    return {
        "documentation": _page(f"docs/lineage.html#{'.'.join(key.path)}", settings),
        "checks_report": _page("checks/index.html", settings),
    }


def _page(page: str, settings: Settings) -> dg.MetadataValue:
    """A URL if the site has one; else the path of the file, since a browser follows no link to a file."""
    if settings.site_url is not None:
        return dg.MetadataValue.url(f"{settings.site_url.rstrip('/')}/{page}")
    if settings.site_bucket is not None:
        return dg.MetadataValue.text(f"s3://{settings.site_bucket}/{page}")
    return dg.MetadataValue.path(Path(settings.site_dir, page))
