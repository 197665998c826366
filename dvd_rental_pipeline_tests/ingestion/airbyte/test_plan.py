"""What is planned for Airbyte, and what is there once it is applied, over HTTP."""

from typing import Any

import pytest

from dvd_rental_pipeline.core.settings import Settings, SettingsError
from dvd_rental_pipeline.ingestion.airbyte.api import Airbyte
from dvd_rental_pipeline.ingestion.airbyte.desired_config import wanted
from dvd_rental_pipeline.ingestion.airbyte.errors import (
    AirbyteError,
    AirbyteRefusedError,
    AirbyteUnreachableError,
)
from dvd_rental_pipeline.ingestion.airbyte.plan import Part, Plan, apply, connection_drift, make_plan
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline_tests.ingestion.airbyte.conftest import KEY
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn


def plan(settings: Settings) -> Plan:
    with Airbyte.of_settings(settings) as airbyte:
        return make_plan(airbyte, wanted(settings, DVD_RENTAL), settings.airbyte_connection_id)


def bring(settings: Settings, **options: Any) -> str:
    """Plan and apply, and return the connection's id."""
    should = wanted(settings, DVD_RENTAL)
    with Airbyte.of_settings(settings) as airbyte:
        return apply(airbyte, should, make_plan(airbyte, should, settings.airbyte_connection_id), **options)


def writes(airbyte: AirbyteStandIn) -> list[tuple[str, str]]:
    return [(method, path) for method, path in airbyte.calls if method != "GET" and "applications" not in path]


def test_nothing_is_there_and_a_plan_makes_nothing(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    found = plan(settings_with())
    assert found.ids == dict.fromkeys(Part)
    assert not found.is_empty
    assert writes(airbyte) == []


def test_once_applied_nothing_differs_and_nothing_is_written_again(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    connection_id = bring(settings_with())
    assert len(writes(airbyte)) == 3
    assert plan(settings_with()).is_empty
    assert plan(settings_with(airbyte_connection_id=connection_id)).is_empty
    assert bring(settings_with()) == connection_id
    assert len(writes(airbyte)) == 3


def test_the_source_captures_changes_and_the_destination_keeps_the_deleted(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    bring(settings_with())
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


def test_the_connection_has_the_catalogues_streams_and_no_schedule(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    bring(settings_with())
    (connection,) = airbyte.workspace.connections.values()
    streams = {stream["name"]: stream for stream in connection.streams}
    assert set(streams) == set(DVD_RENTAL.primary_keys())
    assert len(streams) == 15
    assert streams["film_actor"]["primaryKey"] == [["actor_id"], ["film_id"]]
    assert {stream["syncMode"] for stream in streams.values()} == {"incremental_deduped_history"}
    assert connection.fields["schedule"]["scheduleType"] == "manual"
    assert connection.fields["nonBreakingSchemaUpdatesBehavior"] == "propagate_columns"
    assert (connection.fields["namespaceDefinition"], connection.fields["namespaceFormat"]) == (
        "custom_format",
        "DVD_RENTAL",
    )


def test_what_somebody_changed_by_hand_is_told_field_by_field_and_mended(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    bring(settings_with())
    (connection,) = airbyte.workspace.connections.values()
    (destination,) = airbyte.workspace.destinations.values()
    connection.fields["schedule"] = {"scheduleType": "cron", "cronExpression": "0 0 * * * ? UTC"}
    connection.fields["configurations"] = {
        "streams": [
            {**stream, "syncMode": "full_refresh_overwrite"} if stream["name"] == "film" else stream
            for stream in connection.streams
            if stream["name"] != "payment"
        ]
        + [{"name": "stranger", "syncMode": "full_refresh_append"}]
    }
    destination.configuration["cdc_deletion_mode"] = "Hard delete"
    told = [str(difference) for difference in plan(settings_with()).differences]
    assert "destination configuration.cdc_deletion_mode: Hard delete, should be Soft delete" in told
    assert "connection schedule.scheduleType: cron, should be manual" in told
    assert "connection configurations.streams.stranger: synced, should be absent" in told
    assert "connection configurations.streams.payment.name: absent, should be payment" in told
    assert any("streams.film.syncMode: full_refresh_overwrite" in line for line in told)
    bring(settings_with())
    assert plan(settings_with()).is_empty
    assert destination.configuration["credentials"]["private_key"] == KEY


def test_how_a_connection_deviates_from_the_catalogue_is_told_by_table(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    connection_id = bring(settings_with())

    def deviations() -> set[tuple[str | None, str, bool]]:
        with Airbyte.of_settings(settings_with()) as client:
            found = connection_drift(client.connection(connection_id), DVD_RENTAL)
        return {(one.table, one.told, one.is_fault) for one in found}

    assert deviations() == set()
    fields = airbyte.workspace.connections[connection_id].fields
    fields["nonBreakingSchemaUpdatesBehavior"] = "ignore"
    streams = {stream["name"]: stream for stream in fields["configurations"]["streams"]}
    streams["payment"]["name"] = "stranger"
    streams["rental"]["primaryKey"] = [["last_update"]]
    streams["store"]["namespace"] = "other"
    # As it comes from the source.
    streams["film"]["primaryKey"] = []
    del streams["film"]["cursorField"]
    streams["city"]["syncMode"] = "full_refresh_overwrite"
    at, dedup = "in the connection configurations.streams", "incremental_deduped_history"
    assert deviations() == {
        (
            None,
            "in the connection nonBreakingSchemaUpdatesBehavior is ignore, should be propagate_columns",
            False,
        ),
        (None, f"{at}.stranger is synced, should be absent", False),
        ("payment", "the connection does not sync it", True),
        ("rental", f"{at}.rental.primaryKey is last_update, should be rental_id", True),
        ("store", f"{at}.store.namespace is other, should be public", False),
        ("city", f"{at}.city.syncMode is full_refresh_overwrite, should be {dedup}", True),
    }


def test_a_changed_setting_is_a_difference(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    bring(settings_with())
    found = plan(settings_with(airbyte_initial_waiting_seconds="600", airbyte_destination_role="OTHER"))
    assert [(one.part, one.path.rpartition(".")[2], one.now, one.wanted) for one in found.differences] == [
        (Part.SOURCE, "initial_waiting_seconds", "300", "600"),
        (Part.DESTINATION, "role", "LOADER", "OTHER"),
    ]


def test_a_changed_password_is_sent_when_asked_to(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    bring(settings_with())
    changed = settings_with(source_url="postgresql://airbyte_reader:new-one@db.test:5433/dvdrental")
    assert plan(changed).is_empty
    bring(changed, send_secrets=True)
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
def test_a_tunnel_is_set_up_and_taken_away(
    airbyte: AirbyteStandIn, settings_with: Any, key_path: Any, tunnel: str, expected: dict[str, Any]
) -> None:
    key = {"airbyte_ssh_key_path": str(key_path)} if "SSH_KEY_AUTH" in expected.values() else {}
    bring(settings_with(airbyte_ssh_tunnel=tunnel, **key))
    (source,) = airbyte.workspace.sources.values()
    common = {"tunnel_host": "bastion.test", "tunnel_user": "jump"}
    assert source.configuration["tunnel_method"] == {**common, **expected}
    assert plan(settings_with(airbyte_ssh_tunnel=tunnel, **key)).is_empty
    bring(settings_with(airbyte_ssh_tunnel=None, airbyte_ssh_key_path=None))
    assert source.configuration["tunnel_method"] == {"tunnel_method": "NO_TUNNEL"}


def test_a_certificate_is_read_from_its_file(
    airbyte: AirbyteStandIn, settings_with: Any, key_path: Any
) -> None:
    url = f"postgresql://reader:pw@db.test/dvdrental?sslmode=verify-full&sslrootcert={key_path}"
    bring(settings_with(source_url=url))
    (source,) = airbyte.workspace.sources.values()
    assert source.configuration["ssl_mode"] == {"mode": "verify-full", "ca_certificate": KEY}
    assert plan(settings_with(source_url=url)).is_empty


@pytest.mark.parametrize(
    ("changes", "said"),
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
def test_settings_that_do_not_suffice_are_told(
    settings_with: Any, changes: dict[str, str | None], said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        plan(settings_with(**changes))
    assert "planted" not in str(caught.value)


def test_no_secret_stands_in_a_plan_or_what_is_wanted(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    first = plan(settings_with())
    shown = f"{first} {wanted(settings_with(), DVD_RENTAL)!r} {settings_with()!r}"
    assert "planted" not in shown
    assert "client-secret" not in shown
    assert "********" in str(first)


def test_two_connections_of_the_same_name_are_not_guessed_between(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    bring(settings_with())
    (connection,) = airbyte.workspace.connections.values()
    airbyte.workspace.connections["another"] = connection
    with pytest.raises(AirbyteError, match='2 things called "dvd_rental"'):
        plan(settings_with())


def test_a_connection_by_that_name_between_other_ends_is_not_taken(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    other = airbyte.add_connection(DVD_RENTAL.primary_keys())
    other.fields["name"] = "dvd_rental"
    with pytest.raises(AirbyteError, match="has another source"):
        plan(settings_with())


def test_a_workspace_full_of_others_is_read_to_its_end(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    for _ in range(120):
        # Their connectors are unknown to the SDK as well.
        airbyte.add_connection({}, {"sourceType": "from-the-future"})
    bring(settings_with())
    assert plan(settings_with()).is_empty


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"airbyte_client_secret": "wrong-planted"}, "AIRBYTE_CLIENT_SECRET"),
        ({"airbyte_connection_id": "no-such"}, "AIRBYTE_CONNECTION_ID"),
    ],
)
def test_a_refusal_is_told_with_the_setting_to_mend(
    settings_with: Any, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(AirbyteRefusedError, match=said) as caught:
        plan(settings_with(**changes))
    assert "planted" not in str(caught.value)


def test_an_airbyte_that_is_not_there_is_told(settings_with: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvd_rental_pipeline.ingestion.airbyte.api.RETRY_MILLISECONDS", 300)
    with pytest.raises(AirbyteUnreachableError, match="DVD_RENTAL_AIRBYTE_URL"):
        plan(settings_with(airbyte_url="http://127.0.0.1:1"))


def test_errors_now_and_then_disturb_nothing(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    airbyte.fail(2, 503, method="GET")
    assert not plan(settings_with()).is_empty


def test_basic_authentication_suffices(settings_with: Any) -> None:
    with AirbyteStandIn(client=None, user=("somebody", "pass-word")).running() as airbyte:
        settings = settings_with(
            airbyte_url=airbyte.url,
            airbyte_workspace_id=airbyte.workspace.id,
            airbyte_client_id=None,
            airbyte_client_secret=None,
            airbyte_username="somebody",
            airbyte_password="pass-word",
        )
        bring(settings)
        assert plan(settings).is_empty
