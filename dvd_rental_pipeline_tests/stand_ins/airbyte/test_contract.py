"""The stand-in against Airbyte's published contract, from which Airbyte's SDK is generated."""

from collections.abc import Iterator

import pytest
from airbyte_api import AirbyteAPI, api, errors, models

from dvd_rental_pipeline_tests.ingestion.airbyte.fake_clock import wait_until
from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import JobScript
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
    # The SDK caches tokens by client for the life of the process, so that each test needs another one.
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


def test_a_job_has_every_field_that_the_contract_requires(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI, connection: Connection
) -> None:
    created = sdk.jobs.create_job(
        request=models.JobCreateRequest(connection_id=connection.id, job_type=models.JobTypeEnum.SYNC)
    ).job_response
    assert created is not None
    assert (created.connection_id, created.job_type) == (connection.id, models.JobTypeEnum.SYNC)
    wait_until(lambda: not airbyte.jobs[-1].is_running)
    job = sdk.jobs.get_job(request=api.GetJobRequest(job_id=created.job_id)).job_response
    assert job is not None
    assert job.status is models.JobStatusEnum.SUCCEEDED
    assert (job.rows_synced, job.bytes_synced) == (6, 1000)


@pytest.mark.parametrize("status", ["pending", "queued", "running", "incomplete"])
def test_every_status_of_a_running_job_is_in_the_contract(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI, connection: Connection, status: str
) -> None:
    airbyte.script_next_job(JobScript.blocked(status))
    job = airbyte.start_job(connection.id)
    wait_until(lambda: job.status == status)
    reported = sdk.jobs.get_job(request=api.GetJobRequest(job_id=job.id)).job_response
    assert reported is not None
    assert reported.status is models.JobStatusEnum(status)
    listed = sdk.jobs.list_jobs(
        request=api.ListJobsRequest(connection_id=connection.id, status=models.JobStatusEnum(status))
    ).jobs_response
    assert listed is not None
    assert [found.job_id for found in listed.data] == [job.id]
    cancelled = sdk.jobs.cancel_job(request=api.CancelJobRequest(job_id=job.id)).job_response
    assert cancelled is not None
    assert cancelled.status is models.JobStatusEnum.CANCELLED


def test_a_second_job_is_refused_while_one_runs(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI, connection: Connection
) -> None:
    airbyte.script_next_job(JobScript.blocked())
    airbyte.start_job(connection.id)
    with pytest.raises(errors.SDKError) as caught:
        sdk.jobs.create_job(
            request=models.JobCreateRequest(connection_id=connection.id, job_type=models.JobTypeEnum.SYNC)
        )
    assert caught.value.status_code == 409


def test_the_public_api_refuses_to_start_a_refresh(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI, connection: Connection
) -> None:
    with pytest.raises(errors.SDKError) as caught:
        sdk.jobs.create_job(
            request=models.JobCreateRequest(connection_id=connection.id, job_type=models.JobTypeEnum.REFRESH)
        )
    assert caught.value.status_code == 422


def test_workspace_and_connection_have_the_fields_that_the_contract_requires(
    airbyte: AirbyteStandIn, sdk: AirbyteAPI, connection: Connection
) -> None:
    workspace = sdk.workspaces.get_workspace(
        request=api.GetWorkspaceRequest(workspace_id=airbyte.workspace.id)
    ).workspace_response
    assert workspace is not None
    assert workspace.workspace_id == airbyte.workspace.id
    reported = sdk.connections.get_connection(
        request=api.GetConnectionRequest(connection_id=connection.id)
    ).connection_response
    assert reported is not None
    assert reported.configurations.streams is not None
    assert [stream.primary_key for stream in reported.configurations.streams] == [
        [["film_id"]],
        [["actor_id"], ["film_id"]],
    ]
    assert reported.schedule.schedule_type is models.ScheduleTypeWithBasicEnum.MANUAL


def test_secrets_are_masked_and_kept_when_the_mask_is_sent_back(
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


def test_an_unknown_token_is_refused(airbyte: AirbyteStandIn, connection: Connection) -> None:
    with (
        AirbyteAPI(server_url=airbyte.public_url, security=models.Security(bearer_auth="unknown")) as client,
        pytest.raises(errors.SDKError) as caught,
    ):
        client.connections.get_connection(request=api.GetConnectionRequest(connection_id=connection.id))
    assert caught.value.status_code == 401
