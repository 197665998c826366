"""The Terraform configuration: its text, its format and, with the provider, applied to a stand-in of AWS.

Without the Internet, Terraform cannot download its provider: TF_PLUGIN_DIR names a folder that has it
(`terraform providers mirror` creates one).
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from dvd_rental_pipeline.core.settings import ENV_PREFIX, PROJECT_ROOT, Settings
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn

TERRAFORM = PROJECT_ROOT / "deploy" / "terraform"
PLUGINS = os.environ.get("TF_PLUGIN_DIR")
PLANTED = "planted-secret"


def text() -> str:
    return "\n".join(file.read_text() for file in sorted(TERRAFORM.glob("*.tf")))


def test_tasks_get_only_variables_that_are_settings() -> None:
    """An unknown DVD_RENTAL_ variable would stop every task at its start."""
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    used = set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]+[A-Z]\b", re.sub(r"#.*|description\s*=.*", "", text())))
    assert used
    assert used - known == set()


def test_the_instance_gets_every_variable_that_it_reads() -> None:
    for name in ("dagster.yaml", "workspace.yaml"):
        read = set(re.findall(r"\{env: (\w+)\}", (PROJECT_ROOT / "deploy" / "ecs" / name).read_text()))
        assert read
        assert [variable for variable in read if not re.search(rf"\b{variable}\b", text())] == []


def test_every_variable_and_output_is_described() -> None:
    blocks = re.findall(r'^(?:variable|output) "(\w+)" \{\n(.*?)^\}', text(), re.M | re.S)
    assert len(blocks) == len(re.findall(r'^(?:variable|output) "', text(), re.M))
    assert [name for name, body in blocks if "description" not in body] == []


def test_no_partition_is_written_out() -> None:
    """`arn:aws:` is wrong in the partitions of China and of GovCloud."""
    assert "arn:aws:" not in re.sub(r"#.*|description\s*=.*", "", text())


def test_no_role_has_all_rights_on_a_service() -> None:
    actions = re.findall(
        r'"([a-z0-9]+:[A-Za-z*]+)"', re.sub(r'aws_kms_key" "alerts".*?^\}', "", text(), flags=re.S | re.M)
    )
    wide = [action for action in actions if action.endswith(":*")]
    # The statement that denies requests without TLS.
    assert wide == ["s3:*"]


def test_every_bucket_denies_requests_without_tls_and_public_access() -> None:
    storage = (TERRAFORM / "storage.tf").read_text()
    (tls_only,) = re.findall(r'Sid += "TlsOnly"\n(.*?)\n +\}\],', storage, re.S)
    statement = dict(re.findall(r"^ +(\w+) += (.*)$", tls_only, re.M))
    assert statement == {
        "Effect": '"Deny"',
        "Principal": '"*"',
        "Action": '"s3:*"',
        "Resource": '[each.value.arn, "${each.value.arn}/*"]',
        "Condition": '{ Bool = { "aws:SecureTransport" = "false" } }',
    }
    (blocks,) = re.findall(r'"aws_s3_bucket_public_access_block" "this" \{\n(.*?)^\}', storage, re.S | re.M)
    flags = dict(re.findall(r"^ +(\w+) += (true|false)$", blocks, re.M))
    assert flags == dict.fromkeys(
        ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"), "true"
    )


@pytest.fixture
def terraform() -> str:
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("terraform is not installed: its files are not checked")
    return found


def test_the_files_are_formatted(terraform: str) -> None:
    done = subprocess.run(
        [terraform, "fmt", "-check", "-diff", str(TERRAFORM)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


class Infrastructure:
    """A copy of the configuration in its own folder, initialized and valid."""

    def __init__(self, terraform: str, folder: Path, variables: Mapping[str, Any]) -> None:
        self.terraform, self.folder = terraform, folder
        for file in TERRAFORM.glob("*.tf"):
            shutil.copy(file, folder)
        (folder / "terraform.tfvars.json").write_text(json.dumps(variables))
        self.run("init", f"-plugin-dir={PLUGINS}", "-input=false")
        self.run("validate")

    def run(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [self.terraform, *arguments, *([] if arguments[0] in {"show", "output"} else ["-no-color"])],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"},
        )
        assert done.returncode in codes, f"{arguments}:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done

    def apply(self) -> None:
        self.run("apply", "-auto-approve", "-input=false")

    def drift(self) -> dict[str, list[str]]:
        """The attributes that a second plan would change, by resource address."""
        self.run("plan", "-input=false", "-out=second", "-detailed-exitcode", codes=(0, 2))
        plan = json.loads(self.run("show", "-json", "second").stdout)
        changes = {}
        for resource in plan["resource_changes"]:
            change = resource["change"]
            if change["actions"] != ["no-op"]:
                before, after = change["before"] or {}, change["after"] or {}
                changes[resource["address"]] = sorted(
                    name for name in {*before, *after} if before.get(name) != after.get(name)
                )
        return changes


# What the stand-in does not store, by type and attribute; on AWS a second plan is empty.
NOT_STORED_BY_THE_STAND_IN = {
    ("aws_ecs_service", "availability_zone_rebalancing"),
    ("aws_ecs_service", "enable_ecs_managed_tags"),
    ("aws_vpc_security_group_ingress_rule", "description"),
    # The stand-in does not distinguish set parameters from defaults.
    ("aws_db_parameter_group", "parameter"),
}


# By mode: the location of the settings, and the right that a run needs to read them.
SETTINGS = {
    "services": (
        "secretsmanager://dvd-rental/settings",
        "secretsmanager:GetSecretValue",
        ":secret:dvd-rental/settings",
    ),
    "scheduled": ("s3://settings-bucket/dvd/.env", "s3:GetObject", "arn:aws:s3:::settings-bucket/dvd/.env"),
}
# These tasks load no definitions.
WITHOUT_SETTINGS = {"dvd-rental-webserver", "dvd-rental-daemon"}


# The IAM actions that each task needs, with what calls them; those of the package itself are in `OPERATIONS`.
ACTIONS = {
    "dvd-rental-run": {
        *("secretsmanager:GetSecretValue", "s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject"),
        *("sns:Publish", "kms:Decrypt", "kms:GenerateDataKey", "cloudwatch:PutMetricData"),
        # watchtower
        *("logs:CreateLogStream", "logs:PutLogEvents"),
    },
    "dvd-rental-code-location": {
        *("secretsmanager:GetSecretValue", "sns:Publish", "kms:Decrypt", "kms:GenerateDataKey"),
        # Sensors look for landed runs and sales files.
        *("cloudwatch:PutMetricData", "s3:ListBucket", "s3:GetObject"),
    },
    # dagster-aws: S3ComputeLogManager, and EcsRunLauncher to stop runs.
    "dvd-rental-webserver": {
        *("s3:PutObject", "s3:GetObject", "s3:ListBucket", "ecs:StopTask", "ecs:DescribeTasks"),
        *("ecs:DescribeTaskDefinition", "ec2:DescribeNetworkInterfaces"),
    },
    # dagster-aws: EcsRunLauncher, which reads the log of a task that stopped.
    "dvd-rental-daemon": {
        *("ecs:RunTask", "ecs:TagResource", "iam:PassRole", "ecs:StopTask", "ecs:DescribeTasks"),
        *("ecs:DescribeTaskDefinition", "ec2:DescribeNetworkInterfaces", "logs:GetLogEvents"),
    },
    "dvd-rental-execution": {
        *("ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer"),
        *("ecr:BatchGetImage", "logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue"),
    },
    "dvd-rental-scheduler": {"ecs:RunTask", "iam:PassRole"},
    # Snowflake's storage integration.
    "dvd-rental-snowflake": {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:GetBucketLocation"},
}
SNOWFLAKE_READER = {"user_arn": "arn:aws:iam::210987654321:user/snow-flake", "external_id": "SFCRole=1_a"}
# By boto3 operation that the package calls: the actions that a run needs for it.
OPERATIONS = {
    "get_secret_value": {"secretsmanager:GetSecretValue"},
    "get_object": {"s3:GetObject"},
    "put_object": {"s3:PutObject"},
    "upload_file": {"s3:PutObject"},
    "head_object": {"s3:GetObject"},
    "delete_object": {"s3:DeleteObject"},
    "delete_objects": {"s3:DeleteObject"},
    "list_objects_v2": {"s3:ListBucket"},
    "publish": {"sns:Publish", "kms:Decrypt", "kms:GenerateDataKey"},
    "put_metric_data": {"cloudwatch:PutMetricData"},
}


def assert_least_privilege(mode: str) -> None:
    """Every role has the actions that its task needs, and no other; no action is allowed on every resource."""
    iam = boto3.client("iam")
    roles = {role["RoleName"] for role in iam.list_roles()["Roles"]} & set(ACTIONS)
    only_services = {"dvd-rental-code-location", "dvd-rental-webserver", "dvd-rental-daemon"}
    assert roles == set(ACTIONS) - ({"dvd-rental-scheduler"} if mode == "services" else only_services)
    for role in roles:
        statements = [
            statement
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
            for statement in iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
        ]
        allowed = {action for statement in statements for action in statement["Action"]}
        needed = set(ACTIONS[role])
        if mode == "scheduled" and role != "dvd-rental-scheduler":
            # The settings are on S3, and there is no database with a password.
            needed -= {"secretsmanager:GetSecretValue"}
        assert allowed == needed, role
        everywhere = {
            action
            for statement in statements
            if statement["Resource"] == ["*"] and "Condition" not in statement
            for action in statement["Action"]
        }
        # These do not support resource-level permissions.
        assert everywhere <= {
            "ecr:GetAuthorizationToken",
            "ecs:DescribeTaskDefinition",
            "ec2:DescribeNetworkInterfaces",
        }


def assert_settings_of_task(
    environment: Mapping[str, str], family: str, mode: str, snowflake_role: str
) -> None:
    """A task that loads the definitions has the places of files and settings, another one has none of them."""
    assert environment["DVD_RENTAL_DEPLOYMENT"] == "production"
    names = {
        *("DVD_RENTAL_SECRETS", "DVD_RENTAL_LANDING", "DVD_RENTAL_PROCESSED", "DVD_RENTAL_SALES_FILES"),
        *("DVD_RENTAL_SNOWFLAKE_STORAGE_ROLE", "DVD_RENTAL_METRIC_HISTORY"),
    }
    given = {name: environment[name] for name in names if name in environment}
    if family in WITHOUT_SETTINGS:
        assert given == {}
        return
    landing, processed = given["DVD_RENTAL_LANDING"], given["DVD_RENTAL_PROCESSED"]
    expected = {
        "DVD_RENTAL_SECRETS": SETTINGS[mode][0],
        "DVD_RENTAL_LANDING": landing,
        "DVD_RENTAL_PROCESSED": processed,
        "DVD_RENTAL_SALES_FILES": f"{landing}/sales_files",
        "DVD_RENTAL_SNOWFLAKE_STORAGE_ROLE": snowflake_role,
    }
    if mode == "scheduled":
        # There the run history ends with the task.
        expected["DVD_RENTAL_METRIC_HISTORY"] = f"{processed}/_metric_history"
    assert given == expected


def assert_only_snowflake_may_read_the_lake() -> str:
    """The trust policy of the role names Snowflake's user and external id; returns the role's ARN."""
    role = boto3.client("iam").get_role(RoleName="dvd-rental-snowflake")["Role"]
    (trusted,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"AWS": SNOWFLAKE_READER["user_arn"]}
    assert trusted["Condition"] == {"StringEquals": {"sts:ExternalId": SNOWFLAKE_READER["external_id"]}}
    return str(role["Arn"])


def test_a_run_may_call_every_operation_of_the_package() -> None:
    """Every operation of boto3 that the package names is in the table, and a run has its actions."""
    # `doctor` is for people, who have rights of their own.
    sources = "\n".join(
        content
        for file in (PROJECT_ROOT / "dvd_rental_pipeline").rglob("*.py")
        if file.parent.name != "doctor" and "_client(" in (content := file.read_text())
    )
    words = set(re.findall(r"[a-z0-9_]+", sources))
    operations = {"upload_file"}
    for service in ("s3", "sns", "secretsmanager", "cloudwatch", "logs"):
        operations |= set(boto3.client(service, region_name=REGION).meta.method_to_api_mapping)
    # `create_log_group` is an option of watchtower, which is off.
    called = {name for name in words & operations if "_" in name or name in OPERATIONS} - {"create_log_group"}
    assert called == set(OPERATIONS), "an operation lacks its actions, or is no longer called"
    needed = {action for name in called for action in OPERATIONS[name]}
    assert needed - ACTIONS["dvd-rental-run"] == set()


class PlannedInfrastructure(Infrastructure):
    """What a first `apply` would create."""

    def resources(self) -> list[dict[str, Any]]:
        self.run("plan", "-input=false", "-out=first")
        plan = json.loads(self.run("show", "-json", "first").stdout)
        return [change for change in plan["resource_changes"] if change["change"]["actions"] == ["create"]]


@pytest.fixture
def planned(terraform: str, aws: AwsStandIn, tmp_path: Path) -> PlannedInfrastructure:
    if PLUGINS is None:
        pytest.skip("TF_PLUGIN_DIR names no folder with Terraform's provider for AWS: nothing is planned")
    subnets = boto3.client("ec2").describe_subnets()["Subnets"]
    return PlannedInfrastructure(
        terraform,
        tmp_path,
        {
            "region": REGION,
            "vpc_id": subnets[0]["VpcId"],
            "subnet_ids": [subnet["SubnetId"] for subnet in subnets[:2]],
            "image_tag": "deployed-tag",
            "stand_in": True,
        },
    )


def test_the_plan_keeps_the_policies(planned: PlannedInfrastructure) -> None:
    """Nothing is public, everything is encrypted, logs expire, and the deployed image does not."""
    resources = planned.resources()

    def values(kind: str) -> list[dict[str, Any]]:
        found = [each["change"]["after"] for each in resources if each["type"] == kind]
        assert found, f"the plan has no {kind}"
        return found

    assert "aws_iam_role.snowflake" not in {each["address"] for each in resources}
    for rule in values("aws_vpc_security_group_ingress_rule"):
        assert rule["cidr_ipv4"] is None
        assert rule["cidr_ipv6"] is None
    for service in values("aws_ecs_service"):
        assert service["network_configuration"][0]["assign_public_ip"] is False
    buckets = len(values("aws_s3_bucket"))
    blocks = values("aws_s3_bucket_public_access_block")
    assert len(blocks) == len(values("aws_s3_bucket_server_side_encryption_configuration")) == buckets
    for block in blocks:
        assert all(
            value for name, value in block.items() if name.startswith(("block_", "ignore_", "restrict_"))
        )
    (database,) = values("aws_db_instance")
    assert database["storage_encrypted"] is True
    assert not database["publicly_accessible"]
    assert re.search(r"-final-\d{14}$", database["final_snapshot_identifier"])
    assert values("aws_kms_key")[0]["enable_key_rotation"] is True
    groups = {group["name"]: group["retention_in_days"] for group in values("aws_cloudwatch_log_group")}
    assert set(groups) == {"/dvd-rental/runs", "/dvd-rental/tasks", "/dvd-rental/services"}
    assert all(0 < days < 400 for days in groups.values())
    counted = {each["metric_transformation"][0]["name"] for each in values("aws_cloudwatch_log_metric_filter")}
    assert counted == {"RunFailures", "RunSuccesses", "StepFailures", "FailedChecks"}
    (lost,) = [each for each in values("aws_cloudwatch_log_metric_filter") if each["name"] == "LostRuns"]
    assert lost["log_group_name"] == "/dvd-rental/services"

    (lifecycle,) = values("aws_ecr_lifecycle_policy")
    rules = sorted(json.loads(lifecycle["policy"])["rules"], key=lambda rule: rule["rulePriority"])
    first = rules[0]["selection"]
    assert first["tagPatternList"] == ["deployed-tag"], "the image in use must be selected first, and so kept"
    assert (first["countType"], first["countNumber"]) == ("imageCountMoreThan", 1)
    assert len(rules) == 2


def test_subnets_in_one_zone_are_refused(planned: PlannedInfrastructure) -> None:
    """RDS needs two; its API would refuse them in the middle of an apply."""
    variables = planned.folder / "terraform.tfvars.json"
    values = json.loads(variables.read_text())
    variables.write_text(json.dumps({**values, "subnet_ids": values["subnet_ids"][:1]}))
    refused = planned.run("plan", "-input=false", codes=(1,))
    assert "at least two availability zones" in " ".join(refused.stderr.replace("│", " ").split())


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["services", "scheduled"])
def test_it_can_be_applied_and_a_second_plan_is_empty(
    mode: str, terraform: str, aws: AwsStandIn, tmp_path: Path
) -> None:
    if PLUGINS is None:
        pytest.skip("TF_PLUGIN_DIR names no folder with Terraform's provider for AWS: nothing is applied")
    ec2 = boto3.client("ec2")
    infrastructure = Infrastructure(
        terraform,
        tmp_path,
        {
            "region": REGION,
            "mode": mode,
            "vpc_id": ec2.describe_vpcs()["Vpcs"][0]["VpcId"],
            "subnet_ids": [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]],
            "webserver_client_security_group_ids": [
                ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
            ],
            "alert_emails": ["data@example.com"],
            "site_distribution_arn": "arn:aws:cloudfront::123456789012:distribution/EXAMPLE",
            "dagster_url": "https://dagster.example.com",
            "snowflake_reader": SNOWFLAKE_READER,
            "stand_in": True,
            # `services` has its settings in the secret, `scheduled` in a bucket.
            **({"settings_object": "settings-bucket/dvd/.env"} if mode == "scheduled" else {}),
        },
    )
    infrastructure.apply()

    # An administrator fills in the settings; Terraform neither changes nor stores them.
    settings = boto3.client("secretsmanager")
    if mode == "services":
        settings.put_secret_value(SecretId="dvd-rental/settings", SecretString=json.dumps({"A": PLANTED}))
    else:
        assert settings.list_secrets()["SecretList"] == []
    left = {
        (address.partition(".")[0], name) for address, names in infrastructure.drift().items() for name in names
    }
    assert sorted(left - NOT_STORED_BY_THE_STAND_IN) == []
    secrets = {PLANTED}
    if mode == "services":
        database = settings.get_secret_value(SecretId="dvd-rental/dagster-database")["SecretString"]
        assert len(database) == 40
        secrets.add(database)
    written = "".join(file.read_text(errors="replace") for file in tmp_path.iterdir() if file.is_file())
    shown = infrastructure.run("output", "-json").stdout + infrastructure.run("show", "-json").stdout
    assert [secret for secret in secrets if secret in written + shown] == []

    s3 = boto3.client("s3")
    for name in json.loads(infrastructure.run("output", "-json").stdout)["buckets"]["value"].values():
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
        closed = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        assert all(closed.values())

    parameters = boto3.client("rds").describe_db_parameters(DBParameterGroupName="dvd-rental-source-postgres17")
    assert {item["ParameterName"]: item["ParameterValue"] for item in parameters["Parameters"]} == {
        "rds.logical_replication": "1",
        "max_slot_wal_keep_size": "10240",
        "wal_sender_timeout": "300000",
    }
    assert_least_privilege(mode)

    policy = boto3.client("iam").get_role_policy(RoleName="dvd-rental-run", PolicyName="run")["PolicyDocument"]
    (reading,) = (item for item in policy["Statement"] if item["Sid"] == "ReadSettings")
    assert reading["Action"] == [SETTINGS[mode][1]]
    assert SETTINGS[mode][2] in reading["Resource"][0]

    snowflake_role = assert_only_snowflake_may_read_the_lake()

    ecs = boto3.client("ecs")
    services = ecs.list_services(cluster="dvd-rental")["serviceArns"]
    assert len(services) == (3 if mode == "services" else 0)
    schedules = boto3.client("scheduler").list_schedules()["Schedules"]
    assert len(schedules) == (0 if mode == "services" else 1)
    for family in ecs.list_task_definition_families()["families"]:
        definition = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        environment = {item["name"]: item["value"] for item in container["environment"]}
        assert_settings_of_task(environment, family, mode, snowflake_role)
        assert "DAGSTER_PG_PASSWORD" not in environment
        folder = PROJECT_ROOT / environment["DAGSTER_HOME"].removeprefix("/app/")
        assert (folder / "dagster.yaml").exists()
        if mode == "services":
            assert [secret["name"] for secret in container["secrets"]] == ["DAGSTER_PG_PASSWORD"]
