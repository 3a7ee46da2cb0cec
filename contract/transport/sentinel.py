"""Our transport to a Redis that Sentinels name: the channel asks them where the master is."""

from typing import ClassVar

from kombu.transport import redis as kombu_redis

from contract.transport.channel import Channel
from contract.transport.transport import Transport


class SentinelChannel(Channel, kombu_redis.SentinelChannel):  # type: ignore[misc]
    """That channel; a new connection goes to whoever is the master then."""

    from_transport_options: ClassVar = (
        *Channel.from_transport_options,
        "master_name",
        "sentinel_kwargs",
    )


class SentinelTransport(Transport):
    """That transport."""

    Channel = SentinelChannel
