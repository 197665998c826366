"""Storage integrations and external stages: who may use them, which URLs they reach, whether AWS lets them in.

COPY from an external stage needs USAGE on the stage, a location that its integration allows, and an AWS role
whose trust policy names Snowflake's user and external id.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import ClientError
from fakesnow.instance import FakeSnow
from snowflake.connector.errors import ProgrammingError

from dvd_rental_pipeline.ingestion.files.s3_store import S3Store
from dvd_rental_pipeline_tests.stand_ins.snowflake.account_objects import (
    SUCCESS,
    SYSTEM_ROLES,
    AccountObjects,
    select_rows,
)

USER_ARN = "arn:aws:iam::210987654321:user/snow-flake"
EXTERNAL_ID = "STAND_IN_SFCRole=2_abcdef="

_NAME = r'[\w.$"]+'
_INTEGRATION = re.compile(
    rf"(create|alter)\s+storage\s+integration\s+(if\s+not\s+exists\s+)?(?P<name>{_NAME})\s(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_DESCRIBE = re.compile(rf"desc(ribe)?\s+storage\s+integration\s+(?P<name>{_NAME})\s*$", re.IGNORECASE)
_STAGE = re.compile(
    rf"(?P<verb>create|alter)\s+stage\s+(?P<if>if\s+not\s+exists\s+)?(?P<name>{_NAME})\s(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_COPY = re.compile(rf"copy\s+into\s+.*?\sfrom\s+@(?P<stage>{_NAME})", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Integration:
    """An AWS role, and the URLs for which it is used."""

    role_arn: str
    locations: list[str]


@dataclass
class ExternalStages:
    """The integrations and the external stages of `account`. Names are in upper case."""

    account: AccountObjects
    integrations: dict[str, Integration] = field(default_factory=dict)
    stages: dict[str, tuple[str, str]] = field(default_factory=dict)
    """URL and integration of each stage, by its full name."""

    def answer(self, sql: str, role: str) -> str | None:
        """Check `sql`, and return a statement that selects its result; None if fakesnow executes it.

        Raises:
            ProgrammingError: Snowflake would refuse it.
        """
        text = sql.strip()
        if integration := _INTEGRATION.match(text):
            self._set_integration(integration)
        elif described := _DESCRIBE.match(text):
            return self._describe(_plain(described["name"]))
        elif (stage := _STAGE.match(text)) and "storage_integration" in stage["rest"].lower():
            return self._set_stage(stage, role)
        elif copied := _COPY.match(text):
            self._require_access(_plain(copied["stage"]), role)
        return None

    def _set_integration(self, match: re.Match[str]) -> None:
        name = _plain(match["name"])
        arn = re.search(r"storage_aws_role_arn\s*=\s*'([^']+)'", match["rest"], re.IGNORECASE)
        allowed = re.search(r"storage_allowed_locations\s*=\s*\(([^)]*)\)", match["rest"], re.IGNORECASE)
        if arn is None or allowed is None:
            raise _refusal("Missing option(s): [STORAGE_AWS_ROLE_ARN, STORAGE_ALLOWED_LOCATIONS]", 2029)
        if name not in self.integrations or match[1].lower() == "alter":
            self.integrations[name] = Integration(arn[1], re.findall(r"'([^']*)'", allowed[1]))

    def _describe(self, name: str) -> str:
        self.account.require("STORAGE INTEGRATION", name)
        integration = self.integrations[name]
        rows = [
            ("ENABLED", "Boolean", "true", "false"),
            ("STORAGE_PROVIDER", "String", "S3", ""),
            ("STORAGE_ALLOWED_LOCATIONS", "List", ",".join(integration.locations), "[]"),
            ("STORAGE_AWS_IAM_USER_ARN", "String", USER_ARN, ""),
            ("STORAGE_AWS_ROLE_ARN", "String", integration.role_arn, ""),
            ("STORAGE_AWS_EXTERNAL_ID", "String", EXTERNAL_ID, ""),
        ]
        return select_rows(("property", "property_type", "property_value", "property_default"), rows)

    def _set_stage(self, match: re.Match[str], role: str) -> str | None:
        name = _plain(match["name"])
        url = re.search(r"url\s*=\s*'(s3://[^']+)'", match["rest"], re.IGNORECASE)
        used = re.search(r"storage_integration\s*=\s*(\w+)", match["rest"], re.IGNORECASE)
        if url is None or used is None:
            raise _refusal("invalid URL prefix found in the stage", 1011)
        integration = used[1].upper()
        self.account.require("STORAGE INTEGRATION", integration)
        if role != "ACCOUNTADMIN" and not self.account.may("USAGE", "INTEGRATION", integration, role):
            raise _refusal(f"Insufficient privileges to operate on integration '{integration}'", 3001)
        self._require_allowed(url[1], integration)
        if match["verb"].lower() == "create":
            self.stages.setdefault(name, (url[1], integration))
            return None
        if name not in self.stages:
            raise _refusal(f"Stage '{name}' does not exist or not authorized.", 2003)
        self.stages[name] = (url[1], integration)
        return SUCCESS

    def _require_allowed(self, url: str, integration: str) -> None:
        if not url.startswith(tuple(self.integrations[integration].locations)):
            raise _refusal(f"Location '{url}' is not allowed by integration '{integration}'.", 2031)

    def _require_access(self, name: str, role: str) -> None:
        if name not in self.stages:
            return
        if role not in SYSTEM_ROLES and not self.account.may("USAGE", "STAGE", name, role):
            raise _refusal(f"Stage '{name}' does not exist or not authorized.", 2003)
        url, integration = self.stages[name]
        self._require_allowed(url, integration)
        arn = self.integrations[integration].role_arn
        if not _trusts_snowflake(arn):
            raise _refusal(
                f"Error assuming AWS_ROLE:\nUser: {USER_ARN} is not authorized to perform: sts:AssumeRole on "
                f"resource: {arn}",
                3167,
            )


def read_s3(instance: FakeSnow) -> None:
    """Let the server read S3 as its environment describes it."""
    S3Store("any").connect(instance.duck_conn)


def _trusts_snowflake(role_arn: str) -> bool:
    try:
        role: dict[str, Any] = boto3.client("iam").get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
    except ClientError:
        return False
    policy = role["AssumeRolePolicyDocument"]
    statements = (json.loads(policy) if isinstance(policy, str) else policy)["Statement"]
    return role["Arn"] == role_arn and any(
        statement["Effect"] == "Allow"
        and statement["Principal"].get("AWS") == USER_ARN
        and statement["Condition"]["StringEquals"]["sts:ExternalId"] == EXTERNAL_ID
        for statement in statements
    )


def _plain(name: str) -> str:
    return name.replace('"', "").upper()


def _refusal(message: str, number: int) -> ProgrammingError:
    return ProgrammingError(msg=f"SQL compilation error:\n{message}", errno=number, sqlstate="42601")
