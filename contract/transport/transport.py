"""The transport: kombu's for Redis, with a channel and a poller of our own."""

from typing import Any

from kombu.transport import redis as kombu_redis

from contract.transport.channel import Channel


class Poller(kombu_redis.MultiChannelPoller):  # type: ignore[misc]
    """Looks after the channels of one connection.

    Attributes:
        has_loop: whether an event loop calls ``on_poll_start`` at each of its turns.
    """

    has_loop = False

    def on_poll_start(self) -> None:
        """Let each channel take what it has room for."""
        while self._attend():
            pass

    def on_readable(self, fileno: int) -> Any:
        """Let an ear hear; a reply of one takes nothing, so there is always room for it."""
        found = self._fd_to_chan.get(fileno)
        if found is None:
            return None
        channel, kind = found
        return channel.handlers[kind]()

    def get(self, callback: Any, timeout: float | None = None) -> None:  # noqa: ARG002 - kombu's
        """Deliver messages, for who has no event loop.

        Args:
            callback: unused, as in kombu.
            timeout: seconds to wait for the first one, a second at the most; then kombu calls
                again.

        Raises:
            queue.Empty: none came.
        """
        self._in_protected_read = True
        try:
            self.maybe_refresh_binding_expiry()
            if self._attend():
                return
            events = self.poller.poll(1.0 if timeout is None else min(timeout, 1.0))
            heard = [self.on_readable(fileno) for fileno, _ in events or ()]
            if not heard:
                self.maybe_check_brpop_health()
            if self._attend() or any(heard):
                return
            self.maybe_restore_messages()
            raise kombu_redis.Empty
        finally:
            self._in_protected_read = False
            while self.after_read:
                self.after_read.pop()()

    def maybe_check_brpop_health(self) -> None:
        """Drop connections whose answers are overdue; kombu calls this now and then."""
        for channel in self._channels:
            for ear in channel.ears.values():
                ear.check()

    def _attend(self) -> bool:
        channels = list(self._channels)
        for channel in channels:
            if channel.active_fanout_queues:
                self._register_LISTEN(channel)
        took = [bool(channel.attend()) for channel in channels]  # each of them
        return any(took)


class Transport(kombu_redis.Transport):  # type: ignore[misc]
    """The Redis transport with that channel."""

    Channel = Channel

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Prepare; nothing is sent yet."""
        super().__init__(*args, **kwargs)
        self.cycle = Poller()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Have the loop of a worker call us at each of its turns."""
        self.cycle.has_loop = True
        super().register_with_event_loop(connection, loop)
