"""Promises of the choice of servers."""

from pathlib import Path

import pytest

from contract.errors import UnreachableError, UsageError
from contract.settings import Settings, load_settings
from headrace.session import (
    Session,
    is_local,
    open_session,
    port_of,
    require_servers,
    running_session,
    worker_environment,
)


def _settings(folder: Path, **values: object) -> Settings:
    return load_settings({}, folder, data_folder=folder / "data", **values)


def test_both_servers_are_configured_or_none(tmp_path: Path) -> None:
    """One of two addresses is a mistake, and the missing variable is named."""
    redis, milvus = "redis://127.0.0.1/0", "http://127.0.0.1:1"
    assert is_local(_settings(tmp_path))
    assert not is_local(_settings(tmp_path, redis_url=redis, milvus_uri=milvus))
    with pytest.raises(UsageError, match="HEADRACE_MILVUS_URI is not set"):
        is_local(_settings(tmp_path, redis_url=redis))
    with pytest.raises(UsageError, match="HEADRACE_REDIS_URL is not set"):
        is_local(_settings(tmp_path, milvus_uri=milvus))


def test_configured_servers_are_used_as_they_are(tmp_path: Path) -> None:
    """With servers by URL nothing is started, and no folder is made."""
    settings = _settings(tmp_path, redis_url="redis://127.0.0.1/0", milvus_uri="http://127.0.0.1:1")
    with open_session(settings, say=lambda _: None) as session:
        assert session == Session(settings, is_local=False)
        require_servers(session)
    assert running_session(settings) == session
    assert not settings.data_folder.exists()


def test_nothing_runs_in_a_new_folder(tmp_path: Path) -> None:
    """To ask what runs starts nothing; an embedded server that has ended is noticed."""
    settings = _settings(tmp_path)
    assert running_session(settings) is None
    assert not settings.data_folder.exists()
    with pytest.raises(UnreachableError, match="run the same command again"):
        require_servers(Session(settings, is_local=True))


def test_each_process_has_a_port_of_its_own(tmp_path: Path) -> None:
    """Workers take the first ports; none has one where none is set."""
    served = _settings(tmp_path, metrics_port=9100)
    assert [port_of(served, place) for place in range(3)] == [9100, 9101, 9102]
    assert port_of(_settings(tmp_path), 2) == 0


def test_a_worker_has_exactly_the_settings_of_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the environment nor a file wins over what was typed, also over a typed default."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "headrace.toml").write_text(
        'workers = 4\nbatch_max_chunks = 50\ncollection = "x"\n'
    )
    monkeypatch.setenv("HEADRACE_WORKER_CONCURRENCY", "3")
    monkeypatch.setenv("HEADRACE_PARENT_PID", "1")
    settings = load_settings(worker_concurrency=8, workers=1)
    environment = worker_environment(settings)
    assert load_settings(environment) == settings
    assert "HEADRACE_PARENT_PID" not in environment
