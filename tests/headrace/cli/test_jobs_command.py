"""Promises of ``headrace jobs`` where there is no job to control."""

from pathlib import Path

import pytest

from tests.servers.command import Command
from tests.servers.redis import RedisServer

COMMANDS = ("pause", "resume", "cancel")


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_started_to_control_a_job(tmp_path: Path, command: str) -> None:
    """Where no embedded servers run there is no running job, and it stays so."""
    ended = Command(tmp_path).run("jobs", command, "261124-115026-d77654").expect(2)
    assert "nothing is running" in ended.err
    assert not (tmp_path / ".headrace").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_job_is_told(tmp_path: Path, redis_server: RedisServer, command: str) -> None:
    """The message names the command that lists them."""
    headrace = Command(tmp_path, redis_url=redis_server.url, milvus_uri="http://127.0.0.1:9")
    ended = headrace.run("jobs", command, "nowhere").expect(2)
    assert "there is no job 'nowhere'" in ended.err
    assert "headrace jobs list" in ended.err
