"""Publishing into a folder."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dvd_rental_pipeline.publishing.site import FolderSite


def test_runs_that_publish_the_same_part_at_once_leave_one_of_them(tmp_path: Path) -> None:
    site = FolderSite(path=str(tmp_path / "site"))
    texts = {str(number) for number in range(4)}

    def publish(text: str) -> None:
        pages = tmp_path / text
        pages.mkdir()
        for name in ("index.html", "other.html"):
            (pages / name).write_text(text)
        for _ in range(15):
            site.publish("checks", pages)

    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(publish, texts))
    published = Path(site.path, "checks")
    (text,) = {file.read_text() for file in published.iterdir()}
    assert text in texts
    assert [folder.name for folder in Path(site.path).iterdir() if folder.is_dir()] == ["checks"]
