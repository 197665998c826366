"""The process of the server: fakesnow's application with login, recorded statements and faults.

`main` with the arguments PORT PUBLIC_KEYS.json [FOLDER] serves on that port of 127.0.0.1. With FOLDER the
databases are stored there.
"""

import gzip
import json
import os
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fakesnow.server
import uvicorn
from fakesnow.instance import FakeSnow
from snowflake.connector.errors import ProgrammingError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dvd_rental_pipeline.warehouse.duckdb_file import BUGGY_OPTIMIZERS
from dvd_rental_pipeline_tests.stand_ins.snowflake import dialect_gaps
from dvd_rental_pipeline_tests.stand_ins.snowflake.account_objects import SUCCESS, AccountObjects
from dvd_rental_pipeline_tests.stand_ins.snowflake.account_usage import AttributedQueries
from dvd_rental_pipeline_tests.stand_ins.snowflake.external_stages import ExternalStages, read_s3
from dvd_rental_pipeline_tests.stand_ins.snowflake.faults import Fault, FaultMiddleware
from dvd_rental_pipeline_tests.stand_ins.snowflake.login import RefusedLoginError, verify
from dvd_rental_pipeline_tests.stand_ins.snowflake.privileges import Privileges

_SET_TAG = re.compile(r"\s*alter\s+session\s+set\s+query_tag\s*=\s*'(?P<tag>(?:[^']|'')*)'", re.IGNORECASE)
_CURRENT = re.compile(r"\bcurrent_(?P<what>user|role|warehouse)\(\)", re.IGNORECASE)
_MANAGED = re.compile(r"\s+with\s+managed\s+access\b", re.IGNORECASE)
_USE_WAREHOUSE = re.compile(
    r"\s*(use\s+warehouse|create\s+warehouse(\s+if\s+not\s+exists)?)\s+(?P<warehouse>\w+)", re.IGNORECASE
)
_USE_ROLE = re.compile(r"\s*use\s+role\s+(?P<role>\w+)", re.IGNORECASE)
_SESSION_ONLY = re.compile(r"\s*(alter\s+session\s+(un)?set|use\s+(role|warehouse|secondary))\b", re.IGNORECASE)


@dataclass
class Session:
    """The user of a session and what statements are recorded with."""

    user: str
    role: str
    warehouse: str
    query_tag: str


class Server:
    """The routes that differ from those of fakesnow."""

    def __init__(self, public_keys: dict[str, str]) -> None:
        self.public_keys = public_keys
        self.sessions: dict[str, Session] = {}
        self.statements: list[dict[str, Any]] = []
        self.account = AccountObjects()
        self.external = ExternalStages(self.account)
        self.attributed = AttributedQueries()
        self.privileges = Privileges(self.account)
        self.aborted: set[str] = set()

    async def login(self, request: Request) -> JSONResponse:
        body = await _body(request)
        try:
            verify(body["data"], {**self.public_keys, **self.account.public_keys})
        except RefusedLoginError as refusal:
            return JSONResponse(
                {
                    "data": {"nextAction": "RETRY_LOGIN"},
                    "code": "390144",
                    "message": f"JWT token is invalid. [{refusal}]",
                    "success": False,
                }
            )
        user = body["data"]["LOGIN_NAME"].upper()
        role = request.query_params.get("roleName", "PUBLIC").upper()
        if user in self.account.names.get("USER", set()) and not self.account.has_role(user, role):
            return JSONResponse(
                {
                    "data": {"nextAction": "RETRY_LOGIN"},
                    "code": "390189",
                    "message": f"Role '{role}' specified in the connect string does not exist or not "
                    "authorized. Contact your local system administrator, or attempt to login with another "
                    "role, e.g. PUBLIC.",
                    "success": False,
                }
            )
        answer = await fakesnow.server.login_request(request)
        token = json.loads(answer.body)["data"]["token"]
        self.sessions[f'Snowflake Token="{token}"'] = Session(
            user=user,
            role=role,
            warehouse=request.query_params.get("warehouse", "").upper(),
            query_tag=body["data"]["SESSION_PARAMETERS"].get("QUERY_TAG", ""),
        )
        return answer

    async def abort(self, request: Request) -> JSONResponse:
        self.aborted.add((await _body(request))["requestId"])
        return JSONResponse({"data": None, "success": True})

    async def query(self, request: Request) -> JSONResponse:
        body = await _body(request)
        sql: str = body["sqlText"]
        if request.query_params.get("requestId") in self.aborted:
            return _refusal("000604", "57014", "SQL execution canceled")
        session = self.sessions.get(request.headers.get("Authorization", ""))
        if session is not None:
            if tag := _SET_TAG.match(sql):
                session.query_tag = tag["tag"].replace("''", "'")
            self.statements.append({**asdict(session), "sql": sql})
            # Functions about the session, which fakesnow passes to DuckDB.
            replaced = _CURRENT.sub(lambda match: f"'{getattr(session, match['what'].lower())}'", sql)
            replaced = _MANAGED.sub("", replaced)
            if used := _USE_ROLE.match(sql):
                session.role = used["role"].upper()
            if used := _USE_WAREHOUSE.match(sql):
                # Creating a warehouse also selects it.
                session.warehouse = used["warehouse"].upper()
            if _SESSION_ONLY.match(sql):
                replaced = SUCCESS
            try:
                self.privileges.require(sql, session.role, session.warehouse)
                self.account.require_readable(sql, session.role)
                usage = self.attributed.answer(sql, self.account.database_roles(session.role))
                answered = usage or self.external.answer(sql, session.role) or self.account.answer(sql)
                replaced = answered or self.account.without_policies(replaced)
            except ProgrammingError as error:
                return _refusal(f"{error.errno:06d}", str(error.sqlstate), str(error.msg))
            if replaced != sql:
                request._body = json.dumps({**body, "sqlText": replaced}).encode()
                request.scope["headers"] = [
                    (name, value) for name, value in request.scope["headers"] if name != b"content-encoding"
                ]
                request._headers = type(request.headers)(scope=request.scope)
        started = time.time()
        answer = await fakesnow.server.query_request(request)
        if session is not None:
            self.attributed.record(
                warehouse=session.warehouse,
                user=session.user,
                query_tag=session.query_tag,
                started=started,
                seconds=time.time() - started,
            )
        if session is not None and answer.status_code == 200 and json.loads(answer.body).get("success"):
            self.account.record_relation(sql, session.role)
            self.privileges.record(sql, session.role)
        if answer.status_code == 500:
            # A statement that fakesnow cannot run fails at once; the connector retries HTTP 500 for minutes.
            return _refusal("000603", "XX000", json.loads(answer.body)["message"])
        return answer


def _refusal(code: str, state: str, message: str) -> JSONResponse:
    data = {"errorCode": code, "sqlState": state}
    return JSONResponse({"data": data, "code": code, "message": message, "success": False})


async def _body(request: Request) -> Any:
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return json.loads(body)


def build_application(public_keys: dict[str, str]) -> FaultMiddleware:
    """The application, with routes for the tests under `/stand-in`."""
    server = Server(public_keys)

    async def statements(request: Request) -> JSONResponse:
        return JSONResponse(server.statements)

    async def spend(request: Request) -> JSONResponse:
        server.privileges.spent.update(await request.json())
        return JSONResponse(None)

    async def set_fault(request: Request) -> JSONResponse:
        middleware.faults.append(Fault(**await request.json()))
        return JSONResponse(None)

    async def clear_faults(request: Request) -> JSONResponse:
        middleware.faults.clear()
        return JSONResponse(None)

    overridden = {
        "/session/v1/login-request": server.login,
        "/queries/v1/query-request": server.query,
        "/queries/v1/abort-request": server.abort,
    }
    middleware = FaultMiddleware(
        Starlette(
            routes=[
                *(
                    Route(
                        route.path,
                        overridden.get(route.path, route.endpoint),
                        methods=list(route.methods or []),
                    )
                    for route in fakesnow.server.routes
                ),
                Route("/stand-in/statements", statements),
                Route("/stand-in/spending", spend, methods=["POST"]),
                Route("/stand-in/faults", set_fault, methods=["POST"]),
                Route("/stand-in/faults", clear_faults, methods=["DELETE"]),
            ]
        )
    )
    return middleware


def main() -> None:
    """Serve until killed."""
    port, keys, *folder = sys.argv[1:]
    dialect_gaps.patch_fakesnow()
    if folder:
        fakesnow.server.shared_fs = FakeSnow(db_path=folder[0])
        for database in sorted(Path(folder[0]).glob("*.db")):
            # After a restart the databases exist; fakesnow would open one only when a session names it.
            fakesnow.server.shared_fs.connect(database.stem)
    if "AWS_ENDPOINT_URL" in os.environ:
        read_s3(fakesnow.server.shared_fs)
    fakesnow.server.shared_fs.duck_conn.execute(f"set disabled_optimizers = '{BUGGY_OPTIMIZERS}'")
    uvicorn.run(
        build_application(json.loads(Path(keys).read_text())),
        host="127.0.0.1",
        port=int(port),
        log_level="warning",
    )
