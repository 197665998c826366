"""The image: lint, contents, no secrets, no root, and a code location that answers."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster._grpc.client import DagsterGrpcClient

from dvd_rental_pipeline.core.settings import PROJECT_ROOT

BIN = Path(sys.executable).parent
BUILDAH = ["buildah", "--storage-driver", "vfs"]
TAG = "localhost/dvd-rental:test"
PLANTED = "planted-secret"
# Enough for the definitions of production to load, which calls no service.
ANY_ACCOUNT = {
    "DVD_RENTAL_AIRBYTE_WORKSPACE_ID": "any",
    "DVD_RENTAL_AIRBYTE_CONNECTION_ID": "any",
    "DVD_RENTAL_AIRBYTE_CLIENT_ID": "any",
    "DVD_RENTAL_AIRBYTE_CLIENT_SECRET": "any",
    "DVD_RENTAL_SNOWFLAKE_ACCOUNT": "any-account",
    "DVD_RENTAL_SNOWFLAKE_USER": "any",
    "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH": "/any",
}


def test_the_dockerfile_passes_its_linter() -> None:
    linted = subprocess.run(
        [BIN / "hadolint", "Dockerfile"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout


def test_the_image_does_not_run_as_root() -> None:
    final_stage = (PROJECT_ROOT / "Dockerfile").read_text().split("\nFROM ")[-1]
    assert re.findall(r"^USER (.*)$", final_stage, re.M) == ["10001"]


def test_the_build_context_is_exactly_what_the_dockerfile_copies() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    dockerfile = (PROJECT_ROOT / "Dockerfile").read_text().splitlines()
    copied = {
        source
        for line in dockerfile
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert copied == allowed
    assert [path for path in copied if not (PROJECT_ROOT / path).exists()] == []


def test_compose_runs_three_roles_and_postgres() -> None:
    services = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text())["services"]
    by_default = {name: service for name, service in services.items() if "profiles" not in service}
    assert set(by_default) == {"postgres", "code-location", "webserver", "daemon"}
    assert [port for service in by_default.values() for port in service.get("ports", [])] == [
        "127.0.0.1:3000:3000"
    ]
    # The UI has no login: only this machine may open it, and nothing of an optional profile either.
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports), ports


def test_the_image_has_the_folder_of_every_volume_for_its_user() -> None:
    """Docker gives a folder that the image lacks to root."""
    compose = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text())
    targets = {volume.rpartition(":")[2] for volume in compose["x-dagster"]["volumes"]}
    dockerfile = (PROJECT_ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    (folders,) = re.findall(r"install -d -o dagster -g dagster ([^\n&]+)", dockerfile)
    assert targets == set(folders.split()) - {"/var/lib/dvd-rental"}


def test_docker_compose_accepts_its_file(tmp_path: Path) -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not installed: its file is only read as YAML")
    shutil.copy(PROJECT_ROOT / "docker-compose.yml", tmp_path)
    (tmp_path / ".env").write_text("DAGSTER_PG_PASSWORD=anything\n")
    checked = subprocess.run(
        [compose, "config", "--quiet"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.fixture(scope="module")
def image() -> str:
    """The tag of the image, built without Docker; IMAGE_BUILD_OPTIONS are passed to buildah."""
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("buildah is not installed, or this is not root: the image is not built")
    built = subprocess.run(
        [
            PROJECT_ROOT / "deploy" / "image" / "build_without_docker",
            TAG,
            *shlex.split(os.environ.get("IMAGE_BUILD_OPTIONS", "")),
        ],
        env={**os.environ, "DVD_RENTAL_SOURCE_URL": PLANTED},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return TAG


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[str]:
    name = subprocess.run([*BUILDAH, "from", image], capture_output=True, text=True, check=True).stdout.strip()
    yield name
    subprocess.run([*BUILDAH, "rm", name], capture_output=True, check=True)


def inside(container: str, *command: str, **environment: str) -> list[str]:
    options = [f"--env={name}={value}" for name, value in environment.items()]
    return [*BUILDAH, "run", "--isolation", "chroot", "--network", "host", *options, container, "--", *command]


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_the_image_has_no_secret_and_does_not_run_as_root(image: str, container: str) -> None:
    inspected = subprocess.run(
        [*BUILDAH, "inspect", "--type", "image", image], capture_output=True, text=True, check=True
    ).stdout
    assert PLANTED not in inspected
    user = subprocess.run(inside(container, "id", "-u"), capture_output=True, text=True, check=True).stdout
    assert user.strip() == "10001"
    found = subprocess.run(
        inside(
            container, "find", "/app", "/var/lib/dvd-rental", "(", "-name", ".env*", "-o", "-name", "*.pem", ")"
        ),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert found == ""


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_the_manifest_of_the_image_is_not_parsed_again(container: str) -> None:
    code = (
        "from dvd_rental_pipeline.transform.project import load_dbt_project;"
        "from dvd_rental_pipeline.core.settings import Settings;"
        "p = load_dbt_project(Settings.load()); print(p.target, p.manifest_path.stat().st_mtime_ns)"
    )
    command = inside(container, "python", "-c", code)
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert first.startswith("production ")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == first


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_the_image_serves_the_production_code_location(container: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = [
        "dagster",
        "api",
        "grpc",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-m",
        "dvd_rental_pipeline.definitions",
    ]
    server = subprocess.Popen(
        inside(container, *serve, **ANY_ACCOUNT),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        healthy = inside(
            container, "dagster", "api", "grpc-health-check", "-p", str(port), "--host", "127.0.0.1"
        )
        deadline = time.monotonic() + 180
        while subprocess.run(healthy, capture_output=True, check=False).returncode:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(2)
        client = DagsterGrpcClient(port=port, host="127.0.0.1")
        assert "dvd_rental_pipeline.definitions" in str(client.list_repositories())
        client.shutdown_server()
        server.wait(timeout=60)
    finally:
        server.kill()
        server.wait()
