"""Promises of the embedded Milvus' command line and probe; test_servers runs it."""

import socket
from contextlib import ExitStack
from pathlib import Path

from headrace.local.folder import DataFolder
from headrace.local.milvus_server import MilvusServer


def test_it_has_one_writer_on_loopback_and_a_small_memtable(tmp_path: Path) -> None:
    """The settings that keep acknowledged rows and fast searches are given."""
    launch = MilvusServer(DataFolder(tmp_path)).launch()
    assert launch.reservation is not None
    launch.reservation.close()
    command = " ".join(launch.command)
    assert command.endswith("--max-workers 1")
    assert "--host 127.0.0.1" in command
    assert launch.environment["MILVUS_LITE_MEMTABLE_MEMORY_LIMIT_BYTES"] == "16777216"


def test_its_port_is_given_to_nobody_else(tmp_path: Path) -> None:
    """While the server starts, neither another headrace nor another program gets the port."""
    launch = MilvusServer(DataFolder(tmp_path)).launch()
    host, port = launch.address.split(":")
    with ExitStack() as stack:
        assert launch.reservation is not None
        stack.enter_context(launch.reservation)
        other = stack.enter_context(socket.socket())
        assert other.connect_ex((host, int(port))) != 0
        for _ in range(50):
            more = MilvusServer(DataFolder(tmp_path)).launch()
            assert more.reservation is not None
            stack.enter_context(more.reservation)
            assert more.address != launch.address


def test_it_is_recognized_by_its_data_folder(tmp_path: Path) -> None:
    """A server on other data, or another program on this data, is someone else's."""
    mine = MilvusServer(DataFolder(tmp_path / "a"))
    launch = mine.launch()
    assert launch.reservation is not None
    launch.reservation.close()
    assert mine.address_of(launch.command) == launch.address
    assert MilvusServer(DataFolder(tmp_path / "b")).address_of(launch.command) is None
    assert mine.address_of(("tail", *launch.command[4:])) is None
    assert mine.address_of(()) is None


def test_silence_is_no_answer(tmp_path: Path) -> None:
    """A port that accepts connections and says nothing is not taken for a Milvus."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert not MilvusServer(DataFolder(tmp_path)).answers(address, 0.2)
