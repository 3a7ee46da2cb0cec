"""``headrace schedule`` as a user types it."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.settings import Settings
from tests.servers.command import Command


@pytest.fixture
def headrace(tmp_path: Path, settings: Settings, redis: Redis) -> Command:
    """Give the command, with an empty Redis; no Milvus is asked."""
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    return Command(tmp_path, redis_url=url, milvus_uri="http://127.0.0.1:1")


def test_from_add_to_remove(headrace: Command, tmp_path: Path) -> None:
    """Each command says what it has done, and what comes next."""
    assert "no schedules yet" in headrace.run("schedule", "list").expect(0).out
    added = headrace.run(
        "schedule", "add", "nightly", "docs", "--cron", "0 3 * * *", "--timezone",
        "Europe/Berlin", "--jitter", "10m", "--overlap", "queue", "--json",
    ).expect(0).json  # fmt: skip
    assert added["path"] == str(tmp_path / "docs")
    timetable = {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "jitter_seconds": 600.0}
    assert timetable.items() <= added["timetable"].items()
    assert added["next_due_ms"] > added["created_ms"]
    again = headrace.run("schedule", "add", "nightly", "docs", "--every", "1h").expect(2)
    assert "--replace" in again.err
    replaced = headrace.run("schedule", "add", "nightly", "docs", "--every", "1h", "--replace")
    assert "every 1h; first run" in replaced.expect(0).out
    (listed,) = headrace.run("schedule", "list", "--json").expect(0).json
    assert (listed["name"], listed["last"]) == ("nightly", [])
    assert "paused" in headrace.run("schedule", "pause", "nightly").expect(0).out
    assert "it is paused" in headrace.run("schedule", "list").expect(0).out
    assert "next run" in headrace.run("schedule", "resume", "nightly").expect(0).out
    asked = headrace.run("schedule", "run", "nightly").expect(0)
    assert "no producer worker is here" in asked.err
    shown = headrace.run("schedule", "show", "nightly", "--json").expect(0).json
    assert [run["state"] for run in shown["runs"]] == ["waiting"]
    assert shown["active"] == shown["runs"][0]["id"]
    assert "waiting" in headrace.run("schedule", "show", "nightly").expect(0).out
    assert "removed" in headrace.run("schedule", "remove", "nightly").expect(0).out
    for command in ("show", "pause", "resume", "run", "remove"):
        assert "no schedule 'nightly'" in headrace.run("schedule", command, "nightly").expect(2).err


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ((), "either --cron or --every"),
        (("--every", "15 minutes"), "no duration"),
        (("--cron", "61 * * * *"), "Bad minute"),
        (("--every", "1h", "--timezone", "Nowhere/Here"), "no time zone"),
        (("--every", "1h", "--jitter", "2h"), "jitter"),
        (("--every", "1h", "--allow-deletes", "--no-delete"), "contradict"),
        (("--every", "1h", "--collection", "a b"), "collection"),
    ],
)
def test_what_makes_no_sense(headrace: Command, options: tuple[str, ...], what: str) -> None:
    """It is refused with a reason, and nothing is written down."""
    ended = headrace.run("schedule", "add", "nightly", "docs", *options).expect(2)
    assert what in ended.err
