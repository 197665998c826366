"""Plans for Airbyte, and its state after they are applied, over HTTP."""

from dataclasses import replace
from typing import Any

import pytest

from dvd_rental_pipeline.core.settings import Settings, SettingsError
from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient
from dvd_rental_pipeline.ingestion.airbyte.desired_config import DesiredConfig, desired_config
from dvd_rental_pipeline.ingestion.airbyte.errors import (
    AirbyteError,
    AirbyteRefusedError,
    AirbyteUnreachableError,
)
from dvd_rental_pipeline.ingestion.airbyte.plan import (
    AirbytePlan,
    ObjectKind,
    apply_plan,
    connection_drift,
    make_plan,
)
from dvd_rental_pipeline.ingestion.airbyte.transport import RetryPolicy
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline_tests.ingestion.airbyte.conftest import KEY
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn

QUICK_RETRIES = RetryPolicy(delay=0.1, max_retries=3)


def desired(settings: Settings) -> DesiredConfig:
    return desired_config(settings, DVD_RENTAL, slot=settings.replication_slot)


def plan(settings: Settings) -> AirbytePlan:
    client = AirbyteClient.from_settings(settings, QUICK_RETRIES)
    return make_plan(client, desired(settings), settings.airbyte_connection_id)


def plan_and_apply(settings: Settings, **options: Any) -> str:
    """Return the id of the connection."""
    client = AirbyteClient.from_settings(settings, QUICK_RETRIES)
    plan = make_plan(client, desired(settings), settings.airbyte_connection_id)
    return apply_plan(client, desired(settings), plan, **options)


def writes(airbyte: AirbyteStandIn) -> list[tuple[str, str]]:
    return [(method, path) for method, path in airbyte.calls if method != "GET" and "applications" not in path]


def test_a_plan_for_an_empty_workspace_writes_nothing(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    found = plan(settings_with())
    assert found.ids == dict.fromkeys(ObjectKind)
    assert not found.is_empty
    assert writes(airbyte) == []


def test_after_apply_nothing_differs_and_nothing_is_written_again(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    connection_id = plan_and_apply(settings_with())
    assert len(writes(airbyte)) == 3
    assert plan(settings_with()).is_empty
    assert plan(settings_with(airbyte_connection_id=connection_id)).is_empty
    assert plan_and_apply(settings_with()) == connection_id
    assert len(writes(airbyte)) == 3


def test_the_source_captures_changes_and_the_destination_keeps_deleted_rows(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    plan_and_apply(settings_with())
    (source,) = airbyte.workspace.sources.values()
    (destination,) = airbyte.workspace.destinations.values()
    assert source.configuration["host"] == "db.test"
    assert source.configuration["port"] == 5433
    assert source.configuration["password"] == "planted-password"
    assert source.configuration["ssl_mode"] == {"mode": "require"}
    method = source.configuration["replication_method"]
    assert (method["method"], method["publication"], method["replication_slot"]) == (
        "CDC",
        "dvd_rental",
        "dvd_rental",
    )
    assert method["invalid_cdc_cursor_position_behavior"] == "Fail sync"
    assert "replication.heartbeat" in method["heartbeat_action_query"]
    assert destination.configuration["cdc_deletion_mode"] == "Soft delete"
    assert destination.configuration["credentials"] == {
        "auth_type": "Key Pair Authentication",
        "private_key": KEY,
    }


def test_the_connection_has_the_tables_of_the_catalogue_and_no_schedule(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    plan_and_apply(settings_with())
    (connection,) = airbyte.workspace.connections.values()
    streams = {stream["name"]: stream for stream in connection.streams}
    assert set(streams) == set(DVD_RENTAL.primary_keys())
    assert len(streams) == 15
    assert streams["film_actor"]["primaryKey"] == [["actor_id"], ["film_id"]]
    assert {stream["syncMode"] for stream in streams.values()} == {"incremental_deduped_history"}
    assert connection.fields["schedule"]["scheduleType"] == "manual"
    assert connection.fields["nonBreakingSchemaUpdatesBehavior"] == "ignore"
    assert (connection.fields["namespaceDefinition"], connection.fields["namespaceFormat"]) == (
        "custom_format",
        "DVD_RENTAL",
    )


def test_two_domains_have_objects_of_their_own(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    plan_and_apply(settings_with())
    settings = settings_with()
    other = replace(DVD_RENTAL, name="other", source_schema="app", tables=DVD_RENTAL.tables[:1])
    desired_other = desired_config(settings, other, slot="dvd_rental_other")
    client = AirbyteClient.from_settings(settings, QUICK_RETRIES)
    connection_id = apply_plan(client, desired_other, make_plan(client, desired_other, None))
    assert plan(settings).is_empty
    assert make_plan(client, desired_other, None).is_empty
    connection = airbyte.workspace.connections[connection_id]
    assert (connection.fields["name"], connection.fields["namespaceFormat"]) == ("other", "OTHER")
    assert [stream["namespace"] for stream in connection.streams] == ["app"]
    slots = {
        source.name: source.configuration["replication_method"]["replication_slot"]
        for source in airbyte.workspace.sources.values()
    }
    assert slots == {"dvd_rental: PostgreSQL": "dvd_rental", "other: PostgreSQL": "dvd_rental_other"}


def test_manual_changes_are_listed_by_field_and_reverted(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    plan_and_apply(settings_with())
    (connection,) = airbyte.workspace.connections.values()
    (destination,) = airbyte.workspace.destinations.values()
    connection.fields["schedule"] = {"scheduleType": "cron", "cronExpression": "0 0 * * * ? UTC"}
    connection.fields["configurations"] = {
        "streams": [
            {**stream, "syncMode": "full_refresh_overwrite"} if stream["name"] == "film" else stream
            for stream in connection.streams
            if stream["name"] != "payment"
        ]
        + [{"name": "other", "syncMode": "full_refresh_append"}]
    }
    destination.configuration["cdc_deletion_mode"] = "Hard delete"
    differences = [str(difference) for difference in plan(settings_with()).differences]
    assert "destination configuration.cdc_deletion_mode: Hard delete, should be Soft delete" in differences
    assert "connection schedule.scheduleType: cron, should be manual" in differences
    assert "connection configurations.streams.other: synced, should be absent" in differences
    assert "connection configurations.streams.payment.name: absent, should be payment" in differences
    assert any("streams.film.syncMode: full_refresh_overwrite" in line for line in differences)
    plan_and_apply(settings_with())
    assert plan(settings_with()).is_empty
    assert destination.configuration["credentials"]["private_key"] == KEY


def test_connection_drift_is_listed_by_table(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    connection_id = plan_and_apply(settings_with())

    def deviations() -> set[tuple[str | None, str, bool]]:
        client = AirbyteClient.from_settings(settings_with())
        found = connection_drift(client.connection(connection_id), DVD_RENTAL)
        return {(deviation.table, deviation.description, deviation.is_fault) for deviation in found}

    assert deviations() == set()
    fields = airbyte.workspace.connections[connection_id].fields
    fields["nonBreakingSchemaUpdatesBehavior"] = "propagate_columns"
    streams = {stream["name"]: stream for stream in fields["configurations"]["streams"]}
    streams["payment"]["name"] = "other"
    streams["rental"]["primaryKey"] = [["last_update"]]
    streams["store"]["namespace"] = "other"
    # Airbyte takes these from the source.
    streams["film"]["primaryKey"] = []
    del streams["film"]["cursorField"]
    streams["city"]["syncMode"] = "full_refresh_overwrite"
    prefix, dedup = "in the connection configurations.streams", "incremental_deduped_history"
    assert deviations() == {
        (
            None,
            "in the connection nonBreakingSchemaUpdatesBehavior is propagate_columns, should be ignore",
            False,
        ),
        (None, f"{prefix}.other is synced, should be absent", False),
        ("payment", "the connection does not sync it", True),
        ("rental", f"{prefix}.rental.primaryKey is last_update, should be rental_id", True),
        ("store", f"{prefix}.store.namespace is other, should be public", False),
        ("city", f"{prefix}.city.syncMode is full_refresh_overwrite, should be {dedup}", True),
    }


def test_a_changed_setting_is_a_difference(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    plan_and_apply(settings_with())
    found = plan(settings_with(airbyte_initial_waiting_seconds="600", airbyte_destination_role="OTHER"))
    assert [
        (difference.kind, difference.path.rpartition(".")[2], difference.current, difference.desired)
        for difference in found.differences
    ] == [
        (ObjectKind.SOURCE, "initial_waiting_seconds", "300", "600"),
        (ObjectKind.DESTINATION, "role", "LOADER", "OTHER"),
    ]


def test_a_changed_password_is_sent_on_request(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    plan_and_apply(settings_with())
    changed = settings_with(source_url="postgresql://airbyte_reader:new-one@db.test:5433/dvdrental")
    assert plan(changed).is_empty
    plan_and_apply(changed, send_secrets=True)
    (source,) = airbyte.workspace.sources.values()
    assert source.configuration["password"] == "new-one"


@pytest.mark.parametrize(
    ("tunnel", "expected"),
    [
        (
            "ssh://jump:planted%2Fpw@bastion.test:2222",
            {"tunnel_method": "SSH_PASSWORD_AUTH", "tunnel_port": 2222, "tunnel_user_password": "planted/pw"},
        ),
        ("ssh://jump@bastion.test", {"tunnel_method": "SSH_KEY_AUTH", "tunnel_port": 22, "ssh_key": KEY}),
    ],
)
def test_a_tunnel_is_added_and_removed(
    airbyte: AirbyteStandIn, settings_with: Any, key_path: Any, tunnel: str, expected: dict[str, Any]
) -> None:
    key = {"airbyte_ssh_key_path": str(key_path)} if "SSH_KEY_AUTH" in expected.values() else {}
    plan_and_apply(settings_with(airbyte_ssh_tunnel=tunnel, **key))
    (source,) = airbyte.workspace.sources.values()
    common = {"tunnel_host": "bastion.test", "tunnel_user": "jump"}
    assert source.configuration["tunnel_method"] == {**common, **expected}
    assert plan(settings_with(airbyte_ssh_tunnel=tunnel, **key)).is_empty
    plan_and_apply(settings_with(airbyte_ssh_tunnel=None, airbyte_ssh_key_path=None))
    assert source.configuration["tunnel_method"] == {"tunnel_method": "NO_TUNNEL"}


def test_a_certificate_is_read_from_its_file(
    airbyte: AirbyteStandIn, settings_with: Any, key_path: Any
) -> None:
    url = f"postgresql://reader:pw@db.test/dvdrental?sslmode=verify-full&sslrootcert={key_path}"
    plan_and_apply(settings_with(source_url=url))
    (source,) = airbyte.workspace.sources.values()
    assert source.configuration["ssl_mode"] == {"mode": "verify-full", "ca_certificate": KEY}
    assert plan(settings_with(source_url=url)).is_empty


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source_url": None, "airbyte_destination_host": None}, "SOURCE_URL(.|\n)*AIRBYTE_DESTINATION_HOST"),
        ({"source_url": "postgresql://db.test/dvdrental"}, "lacks user, password"),
        ({"source_url": "postgresql://u:planted@[db.test/dvdrental"}, "SOURCE_URL is not valid"),
        ({"source_url": "postgresql://u:p@db.test/d?sslmode=verify-ca"}, "needs sslrootcert"),
        ({"airbyte_destination_key_path": "/nonexistent.p8"}, r"nonexistent\.p8 cannot be read"),
        ({"airbyte_ssh_tunnel": "bastion.test"}, "SSH_TUNNEL is not valid"),
        ({"airbyte_ssh_tunnel": "ssh://jump@bastion.test"}, "AIRBYTE_SSH_KEY_PATH"),
        ({"airbyte_workspace_id": None, "airbyte_client_id": None}, "CLIENT_ID(.|\n)*WORKSPACE_ID"),
    ],
)
def test_missing_and_invalid_settings_are_reported(
    settings_with: Any, changes: dict[str, str | None], message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        plan(settings_with(**changes))
    assert "planted" not in str(caught.value)


def test_no_secret_is_in_a_plan_or_a_desired_configuration(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    first = plan(settings_with())
    shown = f"{first} {desired(settings_with())!r} {settings_with()!r}"
    assert "planted" not in shown
    assert "client-secret" not in shown
    assert "********" in str(first)


def test_two_connections_of_the_same_name_are_an_error(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    plan_and_apply(settings_with())
    (connection,) = airbyte.workspace.connections.values()
    airbyte.workspace.connections["another"] = connection
    with pytest.raises(AirbyteError, match='2 connections named "dvd_rental"'):
        plan(settings_with())


def test_a_connection_of_that_name_with_another_source_is_an_error(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    other = airbyte.add_connection(DVD_RENTAL.primary_keys())
    other.fields["name"] = "dvd_rental"
    with pytest.raises(AirbyteError, match="has a source other than"):
        plan(settings_with())


def test_all_pages_of_a_large_workspace_are_read(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    for _ in range(120):
        # A connector that this version does not know must not matter.
        airbyte.add_connection({}, {"sourceType": "from-the-future"})
    plan_and_apply(settings_with())
    assert plan(settings_with()).is_empty
    # That connector is not in the published documents.
    airbyte.violations.clear()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"airbyte_client_secret": "wrong-planted"}, "AIRBYTE_CLIENT_SECRET"),
        ({"airbyte_connection_id": "no-such"}, "AIRBYTE_CONNECTION_ID"),
    ],
)
def test_a_refusal_names_the_setting_to_fix(settings_with: Any, changes: dict[str, str], message: str) -> None:
    with pytest.raises(AirbyteRefusedError, match=message) as caught:
        plan(settings_with(**changes))
    assert "planted" not in str(caught.value)


def test_an_unreachable_airbyte_is_reported(settings_with: Any) -> None:
    with pytest.raises(AirbyteUnreachableError, match="DVD_RENTAL_AIRBYTE_URL"):
        plan(settings_with(airbyte_url="http://127.0.0.1:1"))


def test_occasional_errors_are_retried(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    airbyte.fail(2, 503, method="GET")
    assert not plan(settings_with()).is_empty


def test_plan_and_apply_work_with_basic_authentication(settings_with: Any) -> None:
    with AirbyteStandIn(client=None, user=("a-user", "pass-word")).running() as airbyte:
        settings = settings_with(
            airbyte_url=airbyte.url,
            airbyte_workspace_id=airbyte.workspace.id,
            airbyte_client_id=None,
            airbyte_client_secret=None,
            airbyte_username="a-user",
            airbyte_password="pass-word",
        )
        plan_and_apply(settings)
        assert plan(settings).is_empty
