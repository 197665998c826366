"""What of a SQL script is run, left out and refused, whatever its layout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.restore.sql_script import ScriptContent, filter_statements

KEPT = (
    "CREATE TABLE t (a text);\n",
    "INSERT INTO t VALUES ('x\nDROP DATABASE d;\n\\connect d\n');\n",
    "INSERT INTO t VALUES (E'it\\'s\nGRANT ALL ON t TO me;\n');\n",
    "INSERT INTO t VALUES ('it''s -- no comment; /* none');\n",
    "COPY t (a) FROM stdin;\nDROP DATABASE d;\n\\N\n\\! ls\n\\.\n",
    "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $f$\nselect 'x';\nDROP DATABASE d;\n$f$;\n",
    'CREATE TABLE "odd;name" (a text);\n',
    "/* GRANT\n ALL; */ SELECT 1;\n",
    "CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;\n",
    "CREATE SCHEMA public_archive;\n",
    "-- it's a comment; with a quote\nSELECT 2;\n",
)
LEFT_OUT = {
    "DROP DATABASE d;\n": None,
    "CREATE SCHEMA public;\n": None,
    "DROP SCHEMA IF EXISTS public;\n": None,
    "CREATE SCHEMA IF NOT EXISTS public;\n": None,
    "COMMENT ON SCHEMA public IS 'standard; public\nschema';\n": None,
    "ALTER TABLE public.t OWNER TO me;\n": None,
    "COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL';\n": None,
    "GRANT ALL ON SCHEMA public TO PUBLIC;\n": None,
    "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;\n": "extension postgis",
    "CREATE POLICY p ON public.t FOR SELECT TO analyst\n  USING (a = 'x;y');\n": "policy p",
    "ALTER TABLE ONLY public.t FORCE ROW LEVEL SECURITY;\n": "row-level security of public.t",
    "CREATE EVENT TRIGGER e ON ddl_command_end\n  WHEN TAG IN ('CREATE TABLE')\n  EXECUTE FUNCTION f();\n": (
        "event trigger e"
    ),
    "CREATE PUBLICATION p WITH (publish = 'insert');\n": "publication p",
    "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p;\n": "subscription s",
    "SECURITY LABEL FOR anon ON COLUMN public.t.a IS 'MASKED';\n": "security label by anon",
    "SET default_tablespace = fast;\n": "tablespace fast",
    'GRANT SELECT ON TABLE public.t TO "the analyst";\n': "privileges of the analyst",
    "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT ALL ON TABLES TO app;\n": (
        "default privileges of owner"
    ),
}


def _filter(script: str) -> tuple[str, list[str]]:
    content = ScriptContent()
    lines = [line.encode() for line in script.splitlines(keepends=True)]
    kept = b"".join(filter_statements(lines, "x.sql", {"plpgsql"}, content)).decode()
    return kept, list(content.left_out)


@pytest.mark.parametrize("statement", KEPT)
def test_texts_bodies_and_data_are_unchanged(statement: str) -> None:
    assert _filter(statement) == (statement, [])


@pytest.mark.parametrize(("statement", "name"), LEFT_OUT.items())
def test_statement_that_needs_another_server_is_left_out_and_named(statement: str, name: str | None) -> None:
    kept, left_out = _filter(statement + "SELECT 1;\n")
    assert kept.split() == ["SELECT", "1;"]
    assert left_out == ([] if name is None else [name])


@given(st.lists(st.sampled_from([*KEPT, *LEFT_OUT]), max_size=8))
def test_each_statement_is_treated_alike_after_any_others(statements: list[str]) -> None:
    kept, left_out = _filter("".join(statements))
    assert kept.split() == "".join(one for one in statements if one in KEPT).split()
    assert left_out == list(dict.fromkeys(name for one in statements if (name := LEFT_OUT.get(one))))


@pytest.mark.parametrize(
    "script", ["\\! ls\n", "SELECT 1 \\! ls\n", "SELECT\n\\! ls\n;\n", "SELECT 1 \\gexec\n"]
)
def test_psql_command_is_refused_wherever_it_stands(script: str) -> None:
    with pytest.raises(SourceError, match="is a psql command, '"):
        _filter(script)


def test_old_dump_with_backslash_escapes() -> None:
    script = (
        "SET standard_conforming_strings = off;\nINSERT INTO t VALUES ('it\\'s;');\nGRANT ALL ON t TO me;\n"
    )
    kept, left_out = _filter(script)
    assert kept.strip() == "".join(script.splitlines(keepends=True)[:2]).strip()
    assert left_out == ["privileges of me"]


@pytest.mark.parametrize(
    "script", ["COPY t FROM stdin;\na\n", "INSERT INTO t VALUES ('a", "DO $$ begin", "/* a"]
)
def test_script_that_ends_within_something_is_truncated(script: str) -> None:
    with pytest.raises(SourceError, match="is truncated"):
        _filter(script)
