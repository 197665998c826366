"""The result of each node that dbt has executed, from the messages that dbt logs.

dbt's artifact run_results.json has the same, but dbt writes it together with the manifest, which takes seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_dbt import DbtCliEventMessage

_RESULTS = {"LogModelResult", "LogSnapshotResult", "LogTestResult"}
_MESSAGES = {"RunResultError", "RunResultWarningMessage"}
_COMPILED = "SQLCompiledPath"


@dataclass
class NodeResult:
    """How dbt has executed a node.

    Attributes:
        unique_id: dbt's unique id.
        status: that of dbt: `success` or `error` of a model, `pass`, `warn`, `fail` or `error` of a test.
        failures: the number of failing rows of a test; 0 of a model.
        message: of a node that has not succeeded.
        sql: the compiled SQL of a test that has not passed.
    """

    unique_id: str
    status: str
    failures: int
    message: str = ""
    sql: str = ""


def note_result(results: dict[str, NodeResult], message: DbtCliEventMessage) -> None:
    """Add to `results`, which are by unique id, what `message` says of one.

    dbt logs more of those that have not passed when all have ended; the files that it has compiled still exist.
    """
    data: Mapping[str, Any] = message.raw_event["data"]
    unique_id = str(data.get("node_info", {}).get("unique_id"))
    name = message.raw_event["info"]["name"]
    if name in _RESULTS:
        status, failures = str(data["node_info"]["node_status"]), int(data.get("num_failures") or 0)
        results[unique_id] = NodeResult(unique_id, status, failures)
    elif name in _MESSAGES and unique_id in results:
        results[unique_id].message = str(data["msg"])
    elif name == _COMPILED and unique_id in results and (file := Path(data["path"])).is_file():
        results[unique_id].sql = file.read_text(encoding="utf-8")
