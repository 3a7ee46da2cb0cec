"""Schedules of URLs: how they are kept, opened and named."""

from pathlib import Path

import pytest

from contract.errors import SettingsError, UsageError
from headrace.schedules.declared import read_declared
from headrace.schedules.schedule import Schedule, decode, encode
from headrace.schedules.timetable import Timetable
from producers.sources.site import SiteSource

_URL = "https://docs.example.org/en/sitemap.xml"


def _schedule(path: str, source: str = "") -> Schedule:
    return Schedule("a", path, Timetable(cron="0 3 * * *"), source=source)


def test_a_schedule_of_a_url_opens_a_site() -> None:
    """Without asking it anything: a scheduler needs the source's name alone."""
    schedule = decode(encode(_schedule(_URL).checked()))
    source = schedule.open()
    assert isinstance(source, SiteSource)
    assert source.origin == _URL
    assert schedule.source_name() == "docs.example.org/en"
    assert _schedule(_URL, "handbook").source_name() == "handbook"


@pytest.mark.parametrize(
    ("path", "what"),
    [("https://me:s3cret@example.org/", "without them"), ("s3://bucket/docs", "only http")],
)
def test_what_no_source_is_for_is_refused(path: str, what: str) -> None:
    """And a password is not repeated."""
    with pytest.raises(UsageError, match=what) as caught:
        _schedule(path).checked()
    assert "s3cret" not in str(caught.value)


def test_a_url_is_declared_as_it_is(tmp_path: Path) -> None:
    """Only paths are relative to the file."""
    file = tmp_path / "headrace.toml"
    file.write_text(f'[schedules.a]\npath = "{_URL}"\nevery = "1h"\n')
    assert read_declared(file, "documents")["a"].path == _URL
    file.write_text('[schedules.a]\npath = "https://me:s3cret@x/"\nevery = "1h"\n')
    with pytest.raises(SettingsError) as caught:
        read_declared(file, "documents")
    assert "s3cret" not in str(caught.value)
