"""The stand-in against Airbyte's published contract, whose client is Airbyte's own SDK."""

import time
from collections.abc import Iterator

import pytest
from airbyte_api import AirbyteAPI, api, errors, models

from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import Course
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn
from dvd_rental_pipeline_tests.stand_ins.airbyte.workspace import Connection


@pytest.fixture
def airbyte() -> Iterator[AirbyteStandIn]:
    with AirbyteStandIn(client=("contract", "contract-secret")).running() as stand_in:
        yield stand_in


@pytest.fixture
def connection(airbyte: AirbyteStandIn) -> Connection:
    return airbyte.add_connection({"film": ["film_id"], "film_actor": ["actor_id", "film_id"]})


@pytest.fixture
def sdk(airbyte: AirbyteStandIn) -> Iterator[AirbyteAPI]:
    # The SDK keeps tokens of a client for the whole process: each stand-in must see a client of its own.
    credentials = models.SchemeClientCredentials(
        client_id="contract",
        client_secret="contract-secret",
        token_url=f"{airbyte.public_url}/applications/token",
    )
    with AirbyteAPI(
        server_url=airbyte.public_url, security=models.Security(client_credentials=credentials)
    ) as client:
        yield client
    from airbyte_api._hooks.clientcredentials import ClientCredentialsHook  # noqa: PLC0415

    ClientCredentialsHook._sessions.clear()


def test_a_job_has_every_field_that_the_contract_demands(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI, connection: Connection
) -> None:
    created = sdk.jobs.create_job(
        request=models.JobCreateRequest(connection_id=connection.id, job_type=models.JobTypeEnum.SYNC)
    ).job_response
    assert created is not None
    assert (created.connection_id, created.job_type) == (connection.id, models.JobTypeEnum.SYNC)
    deadline = time.monotonic() + 10
    while True:
        job = sdk.jobs.get_job(request=api.GetJobRequest(job_id=created.job_id)).job_response
        assert job is not None
        if job.status is models.JobStatusEnum.SUCCEEDED:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (job.rows_synced, job.bytes_synced) == (6, 1000)


@pytest.mark.parametrize("status", ["pending", "queued", "running", "incomplete"])
def test_every_status_of_a_running_job_is_one_of_the_contract(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI, connection: Connection, status: str
) -> None:
    airbyte.plan(Course.held(status))
    job = airbyte.start_job(connection.id)
    time.sleep(0.2)
    told = sdk.jobs.get_job(request=api.GetJobRequest(job_id=job.id)).job_response
    assert told is not None
    assert told.status is models.JobStatusEnum(status)
    listed = sdk.jobs.list_jobs(
        request=api.ListJobsRequest(connection_id=connection.id, status=models.JobStatusEnum(status))
    ).jobs_response
    assert listed is not None
    assert [one.job_id for one in listed.data] == [job.id]
    cancelled = sdk.jobs.cancel_job(request=api.CancelJobRequest(job_id=job.id)).job_response
    assert cancelled is not None
    assert cancelled.status is models.JobStatusEnum.CANCELLED


def test_a_second_job_is_refused_while_one_runs(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI, connection: Connection
) -> None:
    airbyte.plan(Course.held())
    airbyte.start_job(connection.id)
    with pytest.raises(errors.SDKError) as caught:
        sdk.jobs.create_job(
            request=models.JobCreateRequest(connection_id=connection.id, job_type=models.JobTypeEnum.SYNC)
        )
    assert caught.value.status_code == 409


def test_a_refresh_is_no_job_of_the_public_api(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI, connection: Connection
) -> None:
    with pytest.raises(errors.SDKError) as caught:
        sdk.jobs.create_job(
            request=models.JobCreateRequest(connection_id=connection.id, job_type=models.JobTypeEnum.REFRESH)
        )
    assert caught.value.status_code == 422


def test_workspace_and_connection_have_what_the_contract_demands(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI, connection: Connection
) -> None:
    workspace = sdk.workspaces.get_workspace(
        request=api.GetWorkspaceRequest(workspace_id=airbyte.workspace.id)
    ).workspace_response
    assert workspace is not None
    assert workspace.workspace_id == airbyte.workspace.id
    told = sdk.connections.get_connection(
        request=api.GetConnectionRequest(connection_id=connection.id)
    ).connection_response
    assert told is not None
    assert told.configurations.streams is not None
    assert [stream.primary_key for stream in told.configurations.streams] == [
        [["film_id"]],
        [["actor_id"], ["film_id"]],
    ]
    assert told.schedule.schedule_type is models.ScheduleTypeWithBasicEnum.MANUAL


def test_secrets_of_a_connector_are_never_told_and_survive_being_sent_back(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI
) -> None:
    configuration = models.SourcePostgres(
        host="db.test", port=5432, database="d", username="u", password="planted-password"
    )
    created = sdk.sources.create_source(
        request=models.SourceCreateRequest(
            name="s", workspace_id=airbyte.workspace.id, configuration=configuration
        )
    ).source_response
    assert created is not None
    assert isinstance(created.configuration, models.SourcePostgres)
    assert created.configuration.password == "**********"
    sdk.sources.put_source(
        request=api.PutSourceRequest(
            source_id=created.source_id,
            source_put_request=models.SourcePutRequest(name="s", configuration=created.configuration),
        )
    )
    assert airbyte.workspace.sources[created.source_id].configuration["password"] == "planted-password"


def test_a_token_of_somebody_else_is_refused(airbyte: AirbyteStandIn, connection: Connection) -> None:
    with (
        AirbyteAPI(server_url=airbyte.public_url, security=models.Security(bearer_auth="stolen")) as stranger,
        pytest.raises(errors.SDKError) as caught,
    ):
        stranger.connections.get_connection(request=api.GetConnectionRequest(connection_id=connection.id))
    assert caught.value.status_code == 401
