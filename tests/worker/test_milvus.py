"""The way to Milvus."""

import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pymilvus import MilvusClient

from contract.errors import TimedOutError, UnreachableError, UsageError
from contract.settings import Settings, load_settings
from tests.servers.redis import free_port
from worker.milvus import connect, connection_arguments, translated


def test_a_connection_answers(client: MilvusClient) -> None:
    """The client that connect gives can be used at once."""
    assert isinstance(client.list_collections(), list)


def test_nobody_there_is_told_at_once(settings: Settings) -> None:
    """A server that is not there is an error within the connect time-out, with its address."""
    uri = f"http://127.0.0.1:{free_port()}"
    begun = time.monotonic()
    with pytest.raises(UnreachableError, match=uri):
        connect(settings.model_copy(update={"milvus_uri": uri, "connect_timeout_seconds": 1.0}))
    assert time.monotonic() - begun < 3


def test_no_milvus_is_no_guess(settings: Settings) -> None:
    """Without an address nothing is tried, and the message says what to set."""
    with pytest.raises(UsageError, match="HEADRACE_MILVUS_URI"):
        connect(settings)


def test_a_database_that_is_not_there_is_a_wrong_setting(milvus_settings: Settings) -> None:
    """The configuration can never work, so it is wrong use and not an outage."""
    settings = milvus_settings.model_copy(update={"milvus_database": "nodb"})
    with pytest.raises(UsageError, match="nodb"):
        ask(settings)


def ask(settings: Settings) -> None:
    """Connect and make one call."""
    client = connect(settings)
    with contextlib.closing(client), translated(settings):
        client.list_collections()


def test_a_token_is_passed_on_and_not_told(settings: Settings) -> None:
    """The clients get the token; messages name the address without user and password."""
    token = "miller:flour"  # noqa: S105 - of nobody
    variables = {"HEADRACE_MILVUS_TOKEN": token, "HEADRACE_MILVUS_URI": "http://me:secret@mill"}
    settings = load_settings(variables, Path("/"))
    assert connection_arguments(settings)["token"] == token
    with pytest.raises(TimedOutError) as caught, translated(settings):
        raise TimeoutError
    assert str(caught.value) == "Milvus at http://mill did not answer in time"


def test_cancelling_is_not_translated(settings: Settings) -> None:
    """A cancelled call stays cancelled."""
    with pytest.raises(asyncio.CancelledError), translated(settings):
        raise asyncio.CancelledError


def test_failed_calls_print_no_text(lite_settings: Settings) -> None:
    """A refused row shows up in the error alone: no library prints it."""
    program = (
        "import sys\n"
        "from pymilvus import MilvusClient, MilvusException\n"
        "from worker.milvus import quiet_libraries\n"
        "quiet_libraries()\n"
        "client = MilvusClient(sys.argv[1])\n"
        "try:\n"
        "    client.upsert('nowhere', [{'text': 'a private text'}])\n"
        "except MilvusException:\n"
        "    print('refused')\n"
    )
    command = [sys.executable, "-c", program, str(lite_settings.milvus_uri)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")
