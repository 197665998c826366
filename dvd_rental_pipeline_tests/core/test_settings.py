"""Settings are read once; invalid ones are refused with the variable and the fix."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Deployment, Settings, SettingsError


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_without_any_setting_everything_is_local(env_file: Path) -> None:
    settings = Settings.load(env_file)
    assert settings.deployment is Deployment.LOCAL
    assert settings.home == PROJECT_ROOT / ".dvd_rental"
    assert settings.source_url is None


def test_the_environment_wins_over_the_file(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text("DVD_RENTAL_HOME=/from_file\nDVD_RENTAL_REPLICATION_SLOT=from_file\n")
    monkeypatch.setenv("DVD_RENTAL_HOME", "/from_environment")
    settings = Settings.load(env_file)
    assert settings.home == Path("/from_environment")
    assert settings.replication_slot == "from_file"


def test_a_relative_home_means_the_same_folder_from_anywhere(
    env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVD_RENTAL_HOME", "state")
    home = Settings.load(env_file).home
    monkeypatch.chdir("/")
    assert home == tmp_path / "state"


@given(st.text("abcdefghijklmnopqrstuvwxyz_ ", min_size=1).filter(lambda name: name not in set(Deployment)))
def test_an_unknown_deployment_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("DVD_RENTAL_DEPLOYMENT", name)
        with pytest.raises(SettingsError, match=r"DVD_RENTAL_DEPLOYMENT: .*local, branch, production"):
            Settings.load(Path("/nonexistent"))


def test_a_misspelt_variable_is_refused_with_the_right_spelling(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVD_RENTAL_DEPLOYMNET", "production")
    with pytest.raises(SettingsError, match="did you mean DVD_RENTAL_DEPLOYMENT"):
        Settings.load(env_file)


def test_a_misspelt_variable_in_the_file_is_refused_too(env_file: Path) -> None:
    env_file.write_text("DVD_RENTAL_HOEM=/somewhere\n")
    with pytest.raises(SettingsError, match="did you mean DVD_RENTAL_HOME"):
        Settings.load(env_file)


def test_other_variables_in_the_file_are_ignored(env_file: Path) -> None:
    env_file.write_text("SNOWFLAKE_ACCOUNT=somewhere\n")
    assert Settings.load(env_file).deployment is Deployment.LOCAL


@pytest.mark.parametrize("content", [b"DVD_RENTAL_HOME\n", b"\xff\xfe\x00", b"this is not a setting\n"])
def test_a_malformed_file_is_refused_by_name(env_file: Path, content: bytes) -> None:
    env_file.write_bytes(content)
    with pytest.raises(SettingsError, match=str(env_file)):
        Settings.load(env_file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIME_ZONE", "UTC'; drop schema marts; --"),
        ("TIME_ZONE", "../../../etc/passwd"),
        ("REPLICATION_SLOT", "a'); drop table film; --"),
        ("SNOWFLAKE_DATABASE", 'X"; drop database DVD_RENTALS'),
        ("SNOWFLAKE_ROLE", "X; use role ACCOUNTADMIN"),
        ("SNOWFLAKE_STORAGE_ROLE", "arn:aws:iam::123456789012:role/x' enabled = false"),
        ("SNOWFLAKE_BRANCH", "';\"/*"),
        ("SIGNUPS_NATIONALITIES", "DE&inc=login"),
        ("SIGNUPS_API_URL", "file:///etc/passwd"),
        ("SIGNUPS_BATCH_SIZE", "9" * 5_000),
        ("SOURCE_PORT", "-1"),
        ("CODE_URL", "javascript:alert(1)"),
    ],
)
def test_a_value_that_would_change_a_statement_or_a_request_is_refused(
    env_file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"DVD_RENTAL_{name}", value)
    with pytest.raises(SettingsError) as refusal:
        Settings.load(env_file).export()
    assert len(str(refusal.value)) < 1_000


def test_no_message_contains_a_secret(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVD_RENTAL_SOURCE_URL", "postgresql://user:planted-secret@host/db")
    monkeypatch.setenv("DVD_RENTAL_SOURCE_PORT", "planted-secret")
    with pytest.raises(SettingsError) as caught:
        Settings.load(env_file)
    assert "DVD_RENTAL_SOURCE_PORT" in str(caught.value)
    assert "planted-secret" not in str(caught.value)
    monkeypatch.delenv("DVD_RENTAL_SOURCE_PORT")
    assert "planted-secret" not in repr(Settings.load(env_file))


def test_export_sets_the_secrets_of_the_file_that_resources_read(env_file: Path) -> None:
    env_file.write_text(
        "DVD_RENTAL_AIRBYTE_CLIENT_SECRET=secret\nDVD_RENTAL_SOURCE_ADMIN_URL=postgresql://admin:secret@host/db\n"
    )
    Settings.load(env_file).export()
    assert os.environ["DVD_RENTAL_AIRBYTE_CLIENT_SECRET"] == "secret"
    assert "DVD_RENTAL_SOURCE_ADMIN_URL" not in os.environ, "no child process needs it"


def test_the_example_file_describes_every_setting() -> None:
    example = (PROJECT_ROOT / ".env.example").read_text()
    ours = [name for name, field in Settings.model_fields.items() if not field.validation_alias]
    assert [name for name in ours if f"DVD_RENTAL_{name.upper()}=" not in example] == []


def test_every_setting_is_read() -> None:
    package = PROJECT_ROOT / "dvd_rental_pipeline"
    declarations = [package / "core" / "settings.py", *(package / "core" / "setting_groups").glob("*.py")]
    readers = "\n".join(path.read_text() for path in package.rglob("*.py") if path not in declarations)
    own = "\n".join(path.read_text() for path in declarations)
    profiles = (PROJECT_ROOT / "dbt" / "profiles.yml").read_text()
    # As an attribute, by its name, by its environment variable, or by another setting.
    names = {*re.findall(r"\.(\w+)", readers), *re.findall(r'"(\w+)"', readers)}
    names |= {*re.findall(r"\bself\.(\w+)", own)}
    variables = {*re.findall(r"\b(?:DVD_RENTAL_)?([A-Z]\w*)\b", readers)}
    variables |= {*re.findall(r"\bDVD_RENTAL_(\w+)'", profiles)}
    unread = [name for name in Settings.model_fields if name not in names and name.upper() not in variables]
    assert unread == []
