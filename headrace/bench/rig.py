"""What the runs of one measurement share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.settings import Settings
from headrace.session import Session


@dataclass(frozen=True, slots=True)
class Rig:
    """What the runs of one measurement share.

    Attributes:
        session: servers and settings, with the benchmark's endpoint as the model.
        redis: a client of its Redis.
        client: a client of its Milvus.
        scratch: a folder that is removed at the end.
        documents: what is imported.
        batches: a file with the same, cut into encoded batches.
        server_pids: the servers that run on this machine, by name.
    """

    session: Session
    redis: Redis
    client: MilvusClient
    scratch: Path
    documents: Path
    batches: Path
    server_pids: Mapping[str, int]

    @property
    def settings(self) -> Settings:
        """The settings of every run."""
        return self.session.settings

    def wave_chunks(self, processes: int) -> int:
        """Give how many chunks so many processes have in flight at once."""
        return processes * self.settings.worker_concurrency * self.settings.batch_max_chunks
