"""Which models and tests a run must build, and which it can reuse: a function of code and data versions.

A table is built again when its code or the data version of an input has changed, when an input has none, or
when the table is missing or has other columns or another number of rows than it was built with. A view shows
its inputs: it is created again only when code or columns above it have changed, and has a new data version
whenever its inputs have. An incremental model is built from scratch when any code above it has changed: it
considers only rows that changed in the source.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dvd_rental_pipeline.transform.build_records import BuildRecord
from dvd_rental_pipeline.transform.code_versions import NodeCode, digest
from dvd_rental_pipeline.transform.manifest import DbtModel, Manifest

# Elsewhere, replacing a table drops the views that read it.
BINDS_VIEWS_BY_NAME = {"duckdb", "snowflake"}
INCREMENTAL = "incremental"


@dataclass(frozen=True)
class SourceState:
    """A source table: its data version, and its columns as text."""

    version: str
    shape: str


@dataclass(frozen=True)
class WarehouseState:
    """What the warehouse has: source tables whose version is known, and records of builds.

    `intact` are the models that are as their record says: they exist, with the same columns and number of rows.
    `has_records`: whether the table of records exists.
    """

    sources: Mapping[str, SourceState]
    records: Mapping[str, BuildRecord]
    intact: Collection[str]
    has_records: bool = True


@dataclass(frozen=True)
class BuildPlan:
    """What to do with the selected models and tests, all by unique id.

    Attributes:
        build: models to build.
        full_refresh: those of `build` that are incremental and are built from scratch.
        incremental: those of `build` that are built from what has changed alone.
        test: tests to run.
        reused: selected models that are current, with the record of their build.
        evaluated: selected tests that have passed or warned on the same data, with their record.
        records: the records of `build` and `test`, to be stored once each has succeeded.
        versions: data versions of the selected models after the run, where they are known.
    """

    build: frozenset[str]
    full_refresh: frozenset[str]
    incremental: frozenset[str]
    test: frozenset[str]
    reused: Mapping[str, BuildRecord]
    evaluated: Mapping[str, BuildRecord]
    records: Mapping[str, BuildRecord]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class _Node:
    """A table or view as the models below it find it. None: unknown. `touched`: built in this run."""

    version: str | None
    lineage: str | None
    touched: bool = False


def plan_build(
    manifest: Manifest,
    codes: Mapping[str, NodeCode],
    state: WarehouseState,
    *,
    models: Collection[str],
    tests: Collection[str],
    run_id: str,
    reuse: bool = True,
    full_refresh: bool = False,
) -> BuildPlan:
    """Plan the build of `models` and `tests`, given by unique id.

    Without `reuse`, all of them are built; with `full_refresh`, incremental models from scratch.
    """
    planner = _Planner(
        manifest, codes, state, frozenset(models), run_id, reuse=reuse, full_refresh=full_refresh
    )
    for model in models:
        planner.visit(model)
    evaluated: dict[str, BuildRecord] = {}
    for test in sorted(tests):
        if (record := planner.plan_test(test)) is not None:
            evaluated[test] = record
    return BuildPlan(
        build=frozenset(planner.build),
        full_refresh=frozenset(planner.full_refresh),
        incremental=frozenset(
            model
            for model in planner.build - planner.full_refresh
            if manifest.models[model].materialized == INCREMENTAL
        ),
        test=frozenset(tests) - evaluated.keys(),
        reused={model: state.records[model] for model in models if model not in planner.build},
        evaluated=evaluated,
        records=planner.records,
        versions={model: version for model in models if (version := planner.visit(model).version) is not None},
    )


class _Planner:
    def __init__(
        self,
        manifest: Manifest,
        codes: Mapping[str, NodeCode],
        state: WarehouseState,
        selected: frozenset[str],
        run_id: str,
        *,
        reuse: bool,
        full_refresh: bool,
    ) -> None:
        self._manifest, self._codes, self._state = manifest, codes, state
        self._selected, self._run_id, self._reuse = selected, run_id, reuse
        self._full_refresh = full_refresh
        self._nodes: dict[str, _Node] = {}
        self.build: set[str] = set()
        self.full_refresh: set[str] = set()
        self.records: dict[str, BuildRecord] = {}

    def visit(self, unique_id: str) -> _Node:
        if unique_id not in self._nodes:
            self._nodes[unique_id] = self._visit(unique_id)
        return self._nodes[unique_id]

    def _visit(self, unique_id: str) -> _Node:
        model = self._manifest.models.get(unique_id)
        if model is None:
            source = self._state.sources.get(unique_id)
            return _Node(None, None) if source is None else _Node(source.version, source.shape)
        return self._plan(model) if unique_id in self._selected else self._as_it_is(model)

    def _as_it_is(self, model: DbtModel) -> _Node:
        """A model that the run does not build."""
        record = self._state.records.get(model.unique_id)
        if record is None or not record.fingerprint or model.unique_id not in self._state.intact:
            return _Node(None, None)
        if model.is_view:
            version = self._combine(record.fingerprint, model.parents)
            return _Node(version, record.lineage, self._reads_touched(model.parents))
        return _Node(record.version, record.lineage)

    def _plan(self, model: DbtModel) -> _Node:
        unique_id, code = model.unique_id, self._codes[model.unique_id]
        record = self._state.records.get(unique_id)
        lineages = [self.visit(parent).lineage for parent in model.parents]
        lineage = None if None in lineages else digest(code.version, lineages)
        inputs = self._combine(code.version, model.parents)
        by_name = self._manifest.adapter_type in BINDS_VIEWS_BY_NAME
        fingerprint = inputs if not model.is_view or code.introspects or inputs is None else lineage
        must_build = (
            not self._reuse
            or fingerprint is None
            or record is None
            or record.fingerprint != fingerprint
            or unique_id not in self._state.intact
            or (model.is_view and not by_name and self._reads_touched(model.parents))
        )
        # What a view shows depends on its definition, and on its inputs at any time.
        shown = None if fingerprint is None else self._combine(fingerprint, model.parents)
        if not must_build and record is not None:
            version = shown if model.is_view else record.version
            return _Node(version, lineage, model.is_view and self._reads_touched(model.parents))
        self.build.add(unique_id)
        is_of_same_code = (
            record is not None
            and lineage is not None
            and record.lineage == lineage
            and (not record.fingerprint or unique_id in self._state.intact)
        )
        if model.materialized == INCREMENTAL and (self._full_refresh or not is_of_same_code):
            self.full_refresh.add(unique_id)
        # A snapshot depends on what it had before. An input without a version may have changed unnoticed.
        # Without reuse, the table may have had other content under the same version, which others have read.
        if inputs is None or model.is_snapshot or not self._reuse:
            version = digest(inputs or unique_id, self._run_id)
        else:
            version = inputs
        self.records[unique_id] = BuildRecord(
            unique_id,
            fingerprint or "",
            code.version,
            lineage or "",
            "" if model.is_view else version,
            self._run_id,
        )
        return _Node(shown if model.is_view else version, lineage, touched=True)

    def plan_test(self, unique_id: str) -> BuildRecord | None:
        """The record of a test that need not run; otherwise plans its record."""
        parents = self._manifest.tests[unique_id].parents
        code = self._codes[unique_id].version
        fingerprint = self._combine(code, parents)
        record = self._state.records.get(unique_id)
        if (
            self._reuse
            and fingerprint is not None
            and record is not None
            and record.fingerprint == fingerprint
            and not self._reads_touched(parents)
        ):
            return record
        if fingerprint is not None:
            self.records[unique_id] = BuildRecord(unique_id, fingerprint, code, "", "", self._run_id)
        return None

    def _reads_touched(self, parents: Collection[str]) -> bool:
        return any(self.visit(parent).touched for parent in parents)

    def _combine(self, code: str, parents: Collection[str]) -> str | None:
        """The code and the data versions of `parents`; None if one is unknown."""
        versions = [self.visit(parent).version for parent in parents]
        return None if None in versions else digest(code, list(parents), versions)
