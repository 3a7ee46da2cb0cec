"""The servers that all ways share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from contract.settings import Settings
from headrace.session import Say, Session, open_session
from tests.servers.milvus import milvus_server
from tests.servers.redis import redis_server

LITE = "lite"
"""An embedded Milvus, as ``headrace import`` starts it."""
SERVER = "server"
"""The real server of the ``milvus`` wheel."""


@contextmanager
def running_servers(settings: Settings, which: str, scratch: Path, say: Say) -> Iterator[Session]:
    """Run them while the block lasts.

    Args:
        settings: with the data folder to use; addresses in them do not count.
        which: ``LITE``, ``SERVER``, or the URI of a Milvus that asks for no password.
        scratch: a folder that the caller removes.
        say: takes lines for a person.

    Raises:
        NoServerHereError: the real server can't run here.
    """
    if which == LITE:
        none = dict.fromkeys(("redis_url", "broker_url", "milvus_uri"))
        with open_session(settings.model_copy(update=none), say) as session:
            yield session
    elif which == SERVER:
        folder = scratch / "milvus"
        folder.mkdir()
        with milvus_server(folder) as uri, running_servers(settings, uri, scratch, say) as session:
            yield session
    else:
        folder = scratch / "redis"
        folder.mkdir()
        with redis_server(folder, appendonly=True) as redis:
            found = {"redis_url": SecretStr(redis.url), "broker_url": None, "milvus_uri": which}
            yield Session(settings.model_copy(update=found), is_local=False)
