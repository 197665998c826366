"""A dump is a program: whatever it contains, it reads no file, writes none and runs no program."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.sample.database_owner import as_owner
from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.restore.restore import restore
from dvd_rental_pipeline_tests.sample.queries import databases, fingerprint, value
from dvd_rental_pipeline_tests.sample.restore.dumps import dump

TRAILER = "-- PostgreSQL database dump complete"
EXPLANATION = "reads no files and runs no programs"
RUN_PROGRAM = (
    "create function public.run() returns trigger language plpgsql as"
    " $$ begin copy (select 1) to program 'cat > {mark}'; return null; end $$;\n"
)
STATEMENTS = {
    "copy from a program": "create table public.t (a text);\ncopy public.t from program 'touch {mark}';\n",
    "copy to a program": "copy (select 1) to program 'cat > {mark}';\n",
    "copy from a file": "create table public.t (a text);\ncopy public.t from '/etc/passwd';\n",
    "copy to a file": "copy (select 1) to '{mark}';\n",
    "within a block": "do $$ begin execute 'copy (select 1) to program ''cat > {mark}'''; end $$;\n",
    "as the administrator": "do $$ begin execute 'set role dvd_rental'; end $$;\n",
    "session authorization": "do $$ begin execute 'set session authorization dvd_rental'; end $$;\n",
    "by the function of a setting": "select set_config('role', 'dvd_rental', false);\n",
    "a function of a library": (
        "set check_function_bodies = false;\n"
        "create function public.f(cstring) returns int language c as 'libc.so.6', 'system';\n"
    ),
    "a function of the server": (
        "create function public.f(text) returns text language internal as 'pg_read_file_all';\n"
    ),
    "reading a file": "create table public.t as select pg_read_file('/etc/passwd');\n",
    "listing a folder": "create table public.t as select pg_ls_dir('/');\n",
    "a large object to a file": "select lo_export(lo_from_bytea(0, 'x'), '{mark}');\n",
    "a large object from a file": "select lo_import('/etc/passwd');\n",
    "loading a library": "load '{mark}';\n",
    "a program of the server": "select set_config('archive_command', 'touch {mark}', false);\n",
    "a new superuser": "do $$ begin execute 'create role me superuser login'; end $$;\n",
    "more rights": "do $$ begin execute 'alter role dvd_rental_restore superuser'; end $$;\n",
    "the passwords": "create table public.t as select rolpassword from pg_authid;\n",
    "another owner": (
        "do $$ begin execute format('alter database %I owner to dvd_rental', current_database()); end $$;\n"
    ),
    "the settings of the server": "alter system set archive_command = 'touch {mark}';\n",
}
OTHER_REASONS = {
    "a program of the server": 'parameter "archive_command" cannot be changed now',
    "the settings of the server": "ALTER SYSTEM cannot run inside a transaction block",
}


@pytest.fixture
def mark(postgres: EmbeddedPostgres) -> Iterator[Path]:
    """A file that only a dump writes, where the server may."""
    file = postgres.data_dir / "cluster" / f"mark_{secrets.token_hex(4)}"
    yield file
    file.unlink(missing_ok=True)


@pytest.fixture
def hostile_dump(
    request: pytest.FixtureRequest,
    postgres: EmbeddedPostgres,
    small_sample_url: str,
    tmp_path: Path,
    mark: Path,
) -> Path:
    """A dump, in the format of the parameter, with a materialized view that runs a program."""
    name = f"hostile_{secrets.token_hex(4)}"
    source = conninfo_to_dict(small_sample_url)["dbname"]
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {source}")
        try:
            with psycopg.connect(postgres.url(name)) as connection:
                connection.execute(
                    "create function run() returns int language plpgsql as"
                    f" $$ begin copy (select 1) to program 'cat > {mark}'; return 1; end $$"
                )
                connection.execute("create materialized view hostile as select run()")
            # It works for the administrator, who made the view.
            assert mark.exists()
            mark.unlink()
            return dump(
                postgres, postgres.url(name), tmp_path / "hostile", "--no-owner", f"--format={request.param}"
            )
        finally:
            admin.execute(f"drop database {name} with (force)")


def _assert_refused(url: str, path: Path, message: str, mark: Path) -> None:
    before, names = fingerprint(url), databases(url)
    with pytest.raises(SourceError, match=message):
        restore(url, [path], DVD_RENTAL_TABLES)
    assert not mark.exists()
    assert fingerprint(url) == before
    assert databases(url) == names


@pytest.mark.parametrize("name", STATEMENTS)
def test_statement_that_reaches_beyond_the_database_is_refused(
    small_sample_copy_url: str, tmp_path: Path, mark: Path, name: str
) -> None:
    path = tmp_path / "hostile.sql"
    path.write_text("create table public.film (film_id integer);\n" + STATEMENTS[name].format(mark=mark))
    # The error is that of the statement, not that other tables are missing.
    reason = OTHER_REASONS.get(name, EXPLANATION)

    _assert_refused(small_sample_copy_url, path, f"cannot be restored: (?s:.*){reason}", mark)


@pytest.mark.parametrize("hostile_dump", ["plain", "custom", "tar", "directory"], indirect=True)
def test_hostile_dump_of_each_format_is_refused_with_the_reason(
    hostile_dump: Path, small_sample_copy_url: str, mark: Path
) -> None:
    _assert_refused(small_sample_copy_url, hostile_dump, f"cannot be restored: .*{EXPLANATION}", mark)


def test_trigger_of_a_dump_runs_no_program_later(
    postgres: EmbeddedPostgres, small_sample_url: str, database_url: str, tmp_path: Path, mark: Path
) -> None:
    trigger = "create trigger run after update on public.customer execute function public.run();\n"
    path = dump(postgres, small_sample_url, tmp_path / "d.sql", "--no-owner")
    path.write_text(path.read_text().replace(TRAILER, f"{RUN_PROGRAM.format(mark=mark)}{trigger}{TRAILER}"))
    restore(database_url, [path], DVD_RENTAL_TABLES)

    with (
        psycopg.connect(as_owner(database_url)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied to COPY"),
    ):
        connection.execute("update customer set first_name = first_name where customer_id = 1")

    assert not mark.exists()


def test_restored_database_and_its_objects_belong_to_an_ordinary_role(
    postgres: EmbeddedPostgres, small_sample_url: str, database_url: str, tmp_path: Path
) -> None:
    restore(database_url, [dump(postgres, small_sample_url, tmp_path / "d.sql")], DVD_RENTAL_TABLES)
    url = as_owner(database_url)

    assert value(url, "select current_user::text") == "dvd_rental_restore"
    rights = (
        "select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls from pg_roles where rolname = user"
    )
    assert value(url, rights) is False
    owners = (
        "select count(*) from pg_class where relowner <> user::regrole"
        " and relnamespace = 'public'::regnamespace"
    )
    assert value(url, owners) == 0


def test_role_of_a_restored_database_is_repaired_when_the_server_starts(own_server: EmbeddedPostgres) -> None:
    with own_server.lease() as url, psycopg.connect(url, autocommit=True) as admin:
        admin.execute("alter role dvd_rental_restore password 'x'")
        admin.execute("alter role dvd_rental_restore set search_path = evil")
        admin.execute("create database restored owner dvd_rental_restore")
    own_server.stop()
    with own_server.lease("restored") as url:
        assert value(as_owner(url), "select current_setting('search_path')") == '"$user", public'


def test_database_that_was_not_restored_keeps_its_user(small_sample_url: str) -> None:
    assert as_owner(small_sample_url) == small_sample_url
