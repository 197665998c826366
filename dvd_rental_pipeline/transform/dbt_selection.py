"""Selection of the nodes that dbt executes, by their ids.

dbt compares each name after `--select` with each of its nodes: six seconds for a whole build. The nodes that an
artifact of an earlier run contains are looked up, so one is written that contains those to select.
"""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

_SCHEMA = "https://schemas.getdbt.com/dbt/run-results/v6.json"
_STATUS = "skipped"


def write_selection(nodes: Collection[str], folder: Path) -> Sequence[str]:
    """The arguments with which dbt executes `nodes`, which are unique ids; `folder` is created for them."""
    results: list[dict[str, Any]] = [
        {
            "unique_id": node,
            "status": _STATUS,
            "timing": [],
            "thread_id": "",
            "execution_time": 0,
            "adapter_response": {},
            "message": None,
            "failures": None,
            "compiled": False,
            "compiled_code": None,
            "relation_name": None,
        }
        for node in sorted(nodes)
    ]
    artifact = {"metadata": {"dbt_schema_version": _SCHEMA}, "results": results, "elapsed_time": 0}
    folder.mkdir(parents=True)
    (folder / "run_results.json").write_text(json.dumps(artifact), encoding="utf-8")
    return ["--select", f"result:{_STATUS}", "--state", str(folder), "--indirect-selection", "empty"]
