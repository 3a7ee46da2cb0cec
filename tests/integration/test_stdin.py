"""Promises of ``headrace stdin``, with embedded servers."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from contract.ids import document_id
from headrace.local.servers import attach
from tests.integration.conftest import Place
from tests.servers.command import Command, Running, until
from tests.servers.contents import Servers
from tests.servers.endpoint import FakeEndpoint
from tests.servers.spring import DIMENSION, chunks, document, lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DOCUMENTS = 3000


@contextmanager
def written(data: bytes) -> Iterator[IO[bytes]]:
    """Give a file with this in it, to be read from its beginning."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        file.seek(0)
        yield file


def test_lines_are_brought_changed_and_deleted(
    place: Place, headrace: Command, endpoint: FakeEndpoint
) -> None:
    """A vector that comes along is not made, the same costs nothing, what is deleted goes."""
    command = headrace.with_settings(collection="lines")
    with written(lines(document(number) for number in range(20))) as file:
        summary = command.run("stdin", "--json", stdin=file).expect(0).json
    assert (summary["source"], summary["new"], summary["chunks"]) == ("stdin", 20, 20)
    assert endpoint.stats()["texts"] == 16 + 1, "and a word, when the collection was made"
    place.servers.assert_holds("lines", chunks("stdin", range(20)))
    endpoint.reset()
    again = [document(number) for number in range(18)]
    again += [document(18, "second"), {"id": "wheel-0", "deleted": True}]
    with written(lines(again)) as file:
        summary = command.run("stdin", "--json", stdin=file).expect(0).json
    assert (summary["unchanged"], summary["changed"], summary["deleted"]) == (17, 1, 1)
    assert endpoint.stats()["texts"] == 1
    place.servers.assert_holds("lines", chunks("stdin", range(1, 20)))
    (hit, *_) = command.run("search", "the second wheel number 18", "-k", "3", "--json").json
    assert (hit["source"], hit["path"]) == ("stdin", "wheel-18")


def test_wrong_lines_are_told_and_the_others_go_on(place: Place, headrace: Command) -> None:
    """Each by its number; with an id it is a dead letter, until a good one comes."""
    command = headrace.with_settings(collection="wrong", max_document_bytes=1000)
    wrong = (
        b'{\n{"text": "no id"}\n{"id": "x", "text": 5}\n{"id": "y", "text": "t", "vector": [1]}\n'
    )
    huge = b'{"id": "z", "text": "' + b"x" * 10_000_000 + b'"}\n'
    data = lines([document(1)]) + wrong + huge + lines([document(2)])
    with written(data) as file:
        ended = command.run("stdin", "--json", stdin=file).expect(1)
    summary = ended.json
    assert (summary["new"], summary["failed"]) == (2, 5)
    messages = [left["message"] for left in summary["left_out"]]
    assert [message.partition(":")[0] for message in messages] == [f"line {n}" for n in range(2, 7)]
    place.servers.assert_holds("wrong", chunks("stdin", [1, 2]))
    letters = command.run("dead-letters", "list", "--collection", "wrong", "--json").json
    assert {letter["key"] for letter in letters} == {"x", "y"}
    with written(lines([{"id": "x", "text": "good"}])) as file:
        command.run("stdin", stdin=file).expect(0)
    letters = command.run("dead-letters", "list", "--collection", "wrong", "--json").json
    assert {letter["key"] for letter in letters} == {"y"}


def test_a_trickle_is_found_while_the_pipe_is_open(place: Place, headrace: Command) -> None:
    """Nothing more comes, and what came is there."""
    command = headrace.with_settings(collection="trickle")
    reader, writer = os.pipe()
    try:
        with command.started("stdin", "--source", "pipe", "--json", stdin=reader) as running:
            os.write(writer, lines([document(1)]))
            until(lambda: _holds(place.servers, "trickle", 1), "the first line", 60)
            os.write(writer, lines([document(2)]))
            until(lambda: _holds(place.servers, "trickle", 2), "the second line", 20)
            assert running.runs
            os.close(writer)
            assert running.wait().expect(0).json["new"] == 2
    finally:
        os.close(reader)
    place.servers.assert_holds("trickle", chunks("pipe", [1, 2]))


def test_ctrl_c_ends_one_that_waits_for_a_line(place: Place, headrace: Command) -> None:
    """Though nothing comes, and nobody closes the pipe."""
    command = headrace.with_settings(collection="waits")
    reader, writer = os.pipe()
    try:
        with command.started("stdin", stdin=reader) as running:
            os.write(writer, lines([document(1)]))
            until(lambda: _holds(place.servers, "waits", 1), "the line", 60)
            running.end()
            assert "run the same command" in running.wait().expect(4).err
    finally:
        os.close(writer)
        os.close(reader)


def test_a_folder_is_not_taken_over(place: Place, headrace: Command) -> None:
    """Its documents would be mixed with others."""
    folder = place.folder / "folder"
    folder.mkdir()
    (folder / "a.md").write_text("A mill.")
    command = headrace.with_settings(collection="folders")
    command.run("import", folder).expect(0)
    with written(lines([document(1)])) as file:
        refused = command.run("stdin", "--source", "folder", stdin=file).expect(2)
    assert "--source NAME" in refused.err
    place.servers.assert_holds("folders", {document_id("folder", b"a.md"): 1})


def test_killed_three_times_none_is_lost_and_none_is_twice(
    tmp_path: Path, endpoint: FakeEndpoint
) -> None:
    """The same input again brings what is left; what was through costs nothing."""
    command = Command(
        tmp_path,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=DIMENSION,
        embedding_api_key="no-key",
    )
    data = lines(document(number) for number in range(DOCUMENTS))
    with written(data) as file:
        for kill in range(1, 4):
            file.seek(0)
            with command.started("stdin", stdin=file) as running:
                until(_reached(tmp_path, running, kill * DOCUMENTS // 5), "some documents", 90)
                running.kill()
                running.wait()
        file.seek(0)
        with command.started("up") as up:
            until(lambda: attach(tmp_path / ".headrace") is not None, "the servers", 60)
            found = attach(tmp_path / ".headrace")
            assert found is not None
            servers = Servers(found.redis_url, found.milvus_uri)
            file.seek(0)
            summary = command.run("stdin", "--json", stdin=file).expect(0).json
            fates = ("new", "changed", "unchanged", "resumed")
            assert sum(summary[fate] for fate in fates) == DOCUMENTS
            servers.assert_holds("documents", chunks("stdin", range(DOCUMENTS)))
            file.seek(0)
            endpoint.reset()
            again = command.run("stdin", "--json", stdin=file).expect(0).json
            assert (again["unchanged"], again["chunks"]) == (DOCUMENTS, 0)
            assert endpoint.stats()["texts"] == 0
            assert up.runs


def _reached(folder: Path, running: Running, number: int) -> Callable[[], bool]:
    """Tell whether the ledger knows so many documents."""

    def look() -> bool:
        assert running.runs, running.wait().err
        found = attach(folder / ".headrace")
        if found is None:
            return False
        return len(Servers(found.redis_url, found.milvus_uri).documents("documents")) >= number

    return look


def _holds(servers: Servers, collection: str, number: int) -> bool:
    return len(servers.committed(collection)) == number
