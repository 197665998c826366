"""What is reused equals what a full build makes, after any history, and nothing is built without a reason.

The warehouse is simulated: the content of a table is a value that depends on its code and on the contents of
its inputs, so that hundreds of histories take seconds. `test_reuse.py` does the same with dbt and DuckDB.
"""

import copy
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.transform.build_plan import BuildPlan, SourceState, WarehouseState, plan_build
from dvd_rental_pipeline.transform.build_records import BuildRecord
from dvd_rental_pipeline.transform.code_versions import NodeCode, digest
from dvd_rental_pipeline_tests.transform.small_manifests import data_test, manifest_of, model, source

RAW = [f"source.small.raw.{name}" for name in ("item", "sale", "shop")]
ITEM, SALE, SHOP = RAW
INTROSPECTING = "model.small.item_states"


def _id(name: str) -> str:
    return f"model.small.{name}"


MANIFEST = manifest_of(
    *(source(f"raw.{name}") for name in ("item", "sale", "shop")),
    model("staging.stg_item", [ITEM], materialized="view"),
    model("staging.stg_sale", [SALE], materialized="view"),
    model("staging.stg_shop", [SHOP], materialized="view"),
    model("staging.item_states", [ITEM], materialized="view"),
    model("snapshots.item_versions", [_id("item_states")], materialized="snapshot"),
    model("marts.dim_item", [_id("item_versions"), _id("stg_item")]),
    model("marts.dim_shop", [_id("stg_shop")]),
    model("marts.fct_sale", [_id("stg_sale"), _id("dim_item")], materialized="incremental"),
    model("marts.sold_items", [_id("fct_sale"), _id("dim_item")], materialized="view"),
    model("reports.by_shop", [_id("sold_items"), _id("dim_shop")]),
    model("reports.shops", [_id("dim_shop")]),
    data_test("items_are_unique", [_id("dim_item")]),
    data_test("sales_add_up", [_id("fct_sale"), _id("stg_sale")]),
    data_test("shops_are_sold_in", [_id("by_shop"), _id("stg_shop")]),
    data_test("views_add_up", [_id("sold_items")]),
)
MODELS = list(MANIFEST.models)
TESTS = list(MANIFEST.tests)


@dataclass
class Simulation:
    """A warehouse, with code that is edited independently of it."""

    contents: dict[str, Any] = field(default_factory=lambda: {name: (name, 0) for name in RAW})
    shapes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RAW, 0))
    # Of a view, the lineage with which it was created.
    views: dict[str, Any] = field(default_factory=dict)
    # Of an incremental model, the lineage that all its rows were built with.
    lineages: dict[str, Any] = field(default_factory=dict)
    records: dict[str, BuildRecord] = field(default_factory=dict)

    @property
    def existing(self) -> set[str]:
        return {name for name in MODELS if name in self.contents or name in self.views}

    def lineage(self, unique_id: str, codes: Mapping[str, int]) -> Any:
        if unique_id in RAW:
            return self.shapes[unique_id]
        parents = MANIFEST.models[unique_id].parents
        return digest(codes[unique_id], [self.lineage(parent, codes) for parent in parents])

    def content(self, unique_id: str) -> Any:
        """What a query of the table or view returns."""
        if unique_id not in self.views:
            content = self.contents.get(unique_id, "missing")
            return (content, self.shapes[unique_id]) if unique_id in RAW else content
        parents = MANIFEST.models[unique_id].parents
        return digest(self.views[unique_id], [self.content(parent) for parent in parents])

    def passes(self, test: str, codes: Mapping[str, int]) -> bool:
        parents = MANIFEST.tests[test].parents
        seen = repr((test, codes[test], [self.content(parent) for parent in parents]))
        return random.Random(seen).random() > 0.3

    def build(self, unique_id: str, codes: Mapping[str, int], *, from_scratch: bool) -> None:
        node = MANIFEST.models[unique_id]
        lineage, inputs = (
            self.lineage(unique_id, codes),
            digest([self.content(parent) for parent in node.parents]),
        )
        if unique_id == INTROSPECTING:
            # Its SQL depends on what the warehouse has beside the raw table.
            self.views[unique_id] = (lineage, inputs)
        elif node.is_view:
            self.views[unique_id] = lineage
        elif node.is_snapshot:
            before = self.contents.get(unique_id, ())
            self.contents[unique_id] = before if before[-1:] == (inputs,) else (*before, inputs)
        elif (
            node.materialized == "incremental"
            and unique_id in self.contents
            and not from_scratch
            and self.lineages[unique_id] != lineage
        ):
            self.contents[unique_id] = digest("rows of old and new code", self.contents[unique_id], inputs)
        else:
            self.contents[unique_id] = digest(codes[unique_id], inputs)
            self.lineages[unique_id] = lineage

    def forget(self, plan: BuildPlan) -> None:
        for node in plan.build | plan.test:
            if node in plan.incremental and node in self.records:
                self.records[node] = replace(self.records[node], fingerprint="")
            else:
                self.records.pop(node, None)

    def store(self, plan: BuildPlan, done: Collection[str]) -> None:
        self.records |= {node: record for node, record in plan.records.items() if node in done}

    def state(self, unknown: Collection[str] = ()) -> WarehouseState:
        sources = {
            name: SourceState(repr((self.contents[name], self.shapes[name])), str(self.shapes[name]))
            for name in RAW
            if name not in unknown
        }
        return WarehouseState(sources, dict(self.records), self.existing)


class History:
    """A simulated warehouse under random changes and runs."""

    def __init__(self, rng: random.Random) -> None:
        self.random = rng
        self.warehouse = Simulation()
        self.codes = dict.fromkeys([*MODELS, *TESTS], 0)
        self.backup = copy.deepcopy(self.warehouse)
        self.runs = 0
        self.changes = 0

    def plan(self, models: Collection[str], tests: Collection[str], **options: Any) -> BuildPlan:
        self.runs += 1
        codes = {
            name: NodeCode(f"{name} {code}", introspects=name == INTROSPECTING)
            for name, code in self.codes.items()
        }
        return plan_build(
            MANIFEST,
            codes,
            self.warehouse.state(),
            models=models,
            tests=tests,
            run_id=f"run {self.runs}",
            **options,
        )

    def run(
        self,
        models: Collection[str] = MODELS,
        tests: Collection[str] = TESTS,
        *,
        killed_after: int | None = None,
        failing: Collection[str] = (),
        **options: Any,
    ) -> BuildPlan:
        """Do what the dbt step does: remove the records, build and test in order, store the records.

        `killed_after`: the number of actions after which the process dies.
        """
        plan = self.plan(models, tests, **options)
        for test in plan.evaluated:
            assert self.warehouse.passes(test, self.codes) or plan.build, f"{test} is reused, and would fail"
        if not plan.build and not plan.test:
            return plan
        actions = [partial(self.warehouse.forget, plan)]
        skipped: set[str] = set()
        done: set[str] = set()
        actions += [
            partial(self._build, node, plan, failing, skipped, done) for node in MODELS if node in plan.build
        ]
        actions += [partial(self._test, plan, skipped, done), partial(self.warehouse.store, plan, done)]
        for action in actions[:killed_after]:
            action()
        return plan

    def _build(
        self, node: str, plan: BuildPlan, failing: Collection[str], skipped: set[str], done: set[str]
    ) -> None:
        # Like dbt, which skips all descendants, also through models that it does not build.
        if node in failing or node in descendants(skipped):
            skipped.add(node)
        else:
            self.warehouse.build(node, self.codes, from_scratch=node in plan.full_refresh)
            done.add(node)

    def _test(self, plan: BuildPlan, skipped: set[str], done: set[str]) -> None:
        for test in plan.test:
            is_skipped = not descendants(skipped).isdisjoint(MANIFEST.tests[test].parents)
            if not is_skipped and self.warehouse.passes(test, self.codes):
                done.add(test)

    def change(self) -> None:
        """One random change of data, code or warehouse, or a run that is partial, fails or is killed."""
        self.changes += 1
        some = self.random.sample(MODELS, self.random.randint(1, len(MODELS)))
        tests = [name for name in TESTS if set(MANIFEST.tests[name].parents) <= set(some)]
        match self.random.randint(0, 10):
            case 0 | 1:
                raw = self.random.choice(RAW)
                self.warehouse.contents[raw] = (raw, self.changes)
            case 2:
                self.warehouse.shapes[self.random.choice(RAW)] = self.changes
            case 3 | 4:
                # Including a return to former code.
                self.codes[self.random.choice([*MODELS, *TESTS])] = self.random.randint(0, 2)
            case 5:
                self.run(some, tests)
            case 6:
                self.run(killed_after=self.random.randint(0, 2 + len(MODELS)))
            case 7:
                self.run(some, tests, killed_after=self.random.randint(0, 4))
            case 8:
                self.run(failing=[self.random.choice(MODELS)])
            case 9:
                if self.random.random() < 0.5:
                    self.backup = copy.deepcopy(self.warehouse)
                else:
                    self.warehouse = copy.deepcopy(self.backup)
            case 10:
                lost = self.random.choice(MODELS)
                if not MANIFEST.models[lost].is_snapshot:
                    self.warehouse.contents.pop(lost, None)
                    self.warehouse.views.pop(lost, None)

    def contents(self) -> dict[str, Any]:
        return {name: self.warehouse.content(name) for name in MODELS}

    def contents_of_a_full_build(self) -> dict[str, Any]:
        twin = History(self.random)
        twin.warehouse, twin.codes, twin.runs = copy.deepcopy(self.warehouse), self.codes, self.runs
        twin.run(reuse=False, full_refresh=True)
        return twin.contents()


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_after_any_history_reuse_equals_a_full_build(seed: int, changes: int) -> None:
    rng = random.Random(seed)
    history = History(rng)
    for _ in range(changes):
        history.change()
        if rng.random() < 0.3:
            history.run()
            assert history.contents() == history.contents_of_a_full_build()
    history.run()
    assert history.contents() == history.contents_of_a_full_build()
    again = history.run()
    assert again.build == frozenset()
    assert all(not history.warehouse.passes(test, history.codes) for test in again.test), "reruns what passed"


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_nothing_is_built_that_reads_no_change(seed: int) -> None:
    rng = random.Random(seed)
    history = History(rng)
    history.run()
    history.run()
    changed = set(rng.sample([*RAW, *MODELS], rng.randint(0, 2)))
    for name in changed:
        if name in RAW:
            history.warehouse.contents[name] = (name, "changed")
        else:
            history.codes[name] += 1
    affected = descendants(changed)
    affected_code = descendants(changed - set(RAW))
    plan = history.plan(MODELS, TESTS)
    views = {name for name in MODELS if MANIFEST.models[name].is_view and name != INTROSPECTING}
    assert plan.build == (affected & set(MODELS) - views) | (affected_code & views)
    assert plan.full_refresh == affected_code & {_id("fct_sale")}
    passed_before = {test for test in TESTS if history.warehouse.passes(test, history.codes)}
    assert plan.test == {
        test for test in TESTS if affected & set(MANIFEST.tests[test].parents) or test not in passed_before
    }


def descendants(changed: Collection[str]) -> set[str]:
    found = set(changed)
    for name in MODELS:  # in the order of the lineage
        if found & set(MANIFEST.models[name].parents):
            found.add(name)
    return found


def test_what_reads_a_source_without_a_version_is_always_built() -> None:
    history = History(random.Random(1))
    history.run()
    codes = {name: NodeCode(f"{name} 0", introspects=name == INTROSPECTING) for name in history.codes}
    state = history.warehouse.state(unknown=[SHOP])
    plans = [
        plan_build(MANIFEST, codes, state, models=MODELS, tests=[], run_id=f"later {number}")
        for number in (1, 2)
    ]
    expected = {_id(name) for name in ("stg_shop", "dim_shop", "by_shop", "shops")}
    assert [plan.build for plan in plans] == [expected, expected]
    assert plans[0].versions[_id("by_shop")] != plans[1].versions[_id("by_shop")]
    assert _id("stg_shop") not in plans[0].versions


def test_what_read_values_that_were_changed_by_hand_is_built_after_their_correction() -> None:
    history = History(random.Random(1))
    history.run()
    history.warehouse.contents[_id("dim_item")] = "changed by hand"
    history.warehouse.contents[SALE] = ("sale", "changed")
    history.run()
    assert history.contents() != history.contents_of_a_full_build(), "not noticed"
    history.run([_id("dim_item")], [], reuse=False)
    history.run()
    assert history.contents() == history.contents_of_a_full_build()


@pytest.mark.parametrize(
    ("adapter", "recreated"), [("duckdb", False), ("snowflake", False), ("postgres", True)]
)
def test_views_are_created_again_where_replacing_a_table_drops_them(adapter: str, recreated: bool) -> None:
    history = History(random.Random(1))
    history.run()
    history.warehouse.contents[SALE] = ("sale", "changed")
    manifest = manifest_of(*MANIFEST.raw["sources"].values(), *MANIFEST.raw["nodes"].values())
    manifest.adapter_type = adapter
    codes = {name: NodeCode(f"{name} 0", introspects=name == INTROSPECTING) for name in history.codes}
    plan = plan_build(manifest, codes, history.warehouse.state(), models=MODELS, tests=[], run_id="next")
    assert (_id("sold_items") in plan.build) is recreated
    assert _id("fct_sale") in plan.build
