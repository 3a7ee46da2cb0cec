"""Promises of the ear: it hears, it takes nothing, and it notices that nobody speaks to it."""

import select

import redis as redis_py
from celery import Celery

from contract.names import BULK_QUEUE, LIVE_QUEUE
from contract.queue import announce
from contract.transport.ear import Ear
from tests.contract.transport.counter import counter, raw_batch_of
from tests.servers.redis import RedisServer


def test_it_takes_nothing(app: Celery, client: redis_py.Redis) -> None:
    """What an ear has heard of lies where it was, for whoever comes first."""
    with counter(app) as consumer:
        channel = consumer.channel
        channel.brpop_timeout = 20
        channel.attend()
        assert set(channel.ears) == {LIVE_QUEUE, BULK_QUEUE}
        announce(app, "books", ["b0", "b1"])
        heard, _, _ = select.select([channel.ears[BULK_QUEUE]._socket], [], [], 20)
        assert heard, "a message is heard of"
        assert not select.select([channel.ears[LIVE_QUEUE]._socket], [], [], 0)[0]
        assert [raw_batch_of(m) for m in client.lrange(BULK_QUEUE, 0, -1)] == ["b1", "b0"]
        assert not channel.attend(), "not before it was read"
        assert consumer.wait(2) == ["b0", "b1"]


def test_what_lies_there_keeps_its_order(app: Celery, client: redis_py.Redis) -> None:
    """A message that came just before the ear began to listen is heard of at once."""
    announce(app, "books", ["b0", "b1", "b2"])
    with counter(app, LIVE_QUEUE) as consumer:
        ear = Ear(consumer.channel, BULK_QUEUE)
        ear.listen()
        assert select.select([ear._socket], [], [], 20)[0]
        found = [raw_batch_of(m) for m in client.lrange(BULK_QUEUE, 0, -1)]
        assert found == ["b2", "b1", "b0"]


def test_it_does_not_listen_without_room(app: Celery) -> None:
    """A lane whose places are taken is left alone until one is free."""
    announce(app, "books", ["b0", "b1"])
    with counter(app) as consumer:
        consumer.wait(2)
        assert BULK_QUEUE not in consumer.channel.ears
        consumer.messages[0].ack()
        consumer.drain()
        assert consumer.channel.ears[BULK_QUEUE].is_listening


def test_a_silent_connection_is_replaced(app: Celery) -> None:
    """No answer for longer than the server waits: the connection is dropped for a new one."""
    with counter(app) as consumer:
        channel = consumer.channel
        channel.attend()
        ear = channel.ears[BULK_QUEUE]
        ear.check()
        assert ear.is_listening, "it is not overdue"
        channel.health_check_interval = -channel.brpop_timeout
        ear.check()
        assert not ear.is_listening
        del channel.health_check_interval
        announce(app, "books", ["b"])
        assert consumer.wait(1) == ["b"]


def test_it_is_told_when_the_server_goes(app: Celery, server: RedisServer) -> None:
    """A lost connection is an error from which Celery recovers, and a new one hears again."""
    with counter(app) as consumer:
        consumer.drain()
        server.restart()
        errors = consumer.connection.connection_errors
        caught = None
        while caught is None:
            try:
                consumer.drain()
            except errors as error:
                caught = error
        announce(app, "books", ["b"])
        with counter(app) as again:
            assert again.wait(1) == ["b"]
