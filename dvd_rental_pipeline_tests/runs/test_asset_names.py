"""A wrong selection is refused without loading the graph, and a bare name is enough."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Deployment, Settings
from dvd_rental_pipeline.runs import asset_names
from dvd_rental_pipeline.runs.asset_names import AssetNames, read_asset_names, write_asset_names

NAMES = AssetNames(
    keys=[
        "dvd_rental/film",
        "marts/dim_film",
        "reports/top_films",
        "reports/top_actors",
        "site/docs",
        "club/film",
    ],
    groups=["marts", "raw", "reports"],
)


@pytest.mark.parametrize(
    ("given", "expanded"),
    [
        ("top_films", 'key:"reports/top_films"'),
        ("reports/top_films", 'key:"reports/top_films"'),
        ("dvd_rental/film", 'key:"dvd_rental/film"'),
        ("+top_films", '+key:"reports/top_films"'),
        ("2+dim_film+", '2+key:"marts/dim_film"+'),
        ("top_films or marts/dim_film", 'key:"reports/top_films" or key:"marts/dim_film"'),
        ("roots(+top_films) and not group:raw", 'roots(+key:"reports/top_films") and not group:raw'),
        *(
            (expression, expression)
            for expression in (
                '+key:"reports/top_films"',
                "key:reports/top_*",
                'key:"marts/*" and not key:"marts/dim_film"',
                "group:reports",
                "owner:team:marketing",
                "tag:domain=totesys",
                'tag:"domain"="totesys" or kind:dbt',
                "*",
            )
        ),
    ],
)
def test_names_are_expanded_and_expressions_are_not(given: str, expanded: str) -> None:
    assert NAMES.expand(given) == expanded


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("top_film", "There is no asset 'top_film'. Similar: reports/top_films"),
        ("marts/dim_films", "There is no asset 'marts/dim_films'. Similar: marts/dim_film"),
        ("film", "'film' is the name of 2 assets: dvd_rental/film, club/film"),
        ('+key:"reports/top_film"', "No asset has the key 'reports/top_film'. Similar: reports/top_films"),
        ("group:report", "No asset has the group 'report'. Similar: reports"),
        ("+top_film", "There is no asset 'top_film'. Similar: reports/top_films"),
        ("zzz", "There is no asset 'zzz'. `group:marts`"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(given: str, message: str) -> None:
    with pytest.raises(PipelineError) as refusal:
        NAMES.expand(given)
    assert message in str(refusal.value)


def test_names_are_kept_until_the_code_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "code" / "model.sql"
    code.parent.mkdir()
    code.touch()
    monkeypatch.setattr(asset_names, "_sources", lambda: code.parent.rglob("*.sql"))
    settings = Settings(home=tmp_path)
    assert read_asset_names(settings) is None
    write_asset_names(settings, NAMES)
    assert read_asset_names(settings) == NAMES
    assert read_asset_names(settings.model_copy(update={"deployment": Deployment.BRANCH})) is None
    (code.parent / "__pycache__").mkdir()
    assert read_asset_names(settings) == NAMES, "Python's cache is not code"
    os.utime(code, (time.time() + 60, time.time() + 60))
    assert read_asset_names(settings) is None
    write_asset_names(settings, NAMES)
    code.with_name("other.sql").touch()
    assert read_asset_names(settings) is None, "a file was added"
    write_asset_names(settings, NAMES)
    code.unlink()
    assert read_asset_names(settings) is None, "a file was deleted"


def test_a_wrong_selection_is_refused_without_importing_dagster(tmp_path: Path) -> None:
    write_asset_names(Settings(home=tmp_path), NAMES)
    program = (
        "import sys\n"
        "from dvd_rental_pipeline.cli.main import app\n"
        "try:\n    app(['run', '--select', 'top_film'])\n"
        "finally:\n    print('dagster' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "DVD_RENTAL_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Similar: reports/top_films" in done.stderr
    assert done.stdout.strip() == "False"
