"""Promises of the channel: nothing is lost, and each lane has places of its own."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import redis as redis_py
from celery import Celery
from kombu import Connection as PlainConnection
from kombu import Queue

from contract.lane import Lane
from contract.names import BULK_QUEUE, LIVE_QUEUE
from contract.queue import announce, messages_by_lane, waiting_messages
from tests.contract.transport.counter import counter, raw_batch_of
from tests.servers.redis import RedisServer

ROOT = Path(__file__).parents[3]


def names(number: int, prefix: str = "b") -> list[str]:
    """Name batches."""
    return [f"{prefix}{at}" for at in range(number)]


def test_a_kill_between_the_server_and_us_loses_nothing(
    app: Celery, server: RedisServer, client: redis_py.Redis
) -> None:
    """Killed with messages that left their queues and reached nobody, a consumer loses none."""
    announce(app, "books", names(20))
    announce(app, "books", names(5, "l"), Lane.LIVE)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.contract.transport.killed", server.url],
        cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == -9
    assert client.llen(BULK_QUEUE) < 20, "it had taken some"
    assert client.llen(LIVE_QUEUE) < 5
    assert messages_by_lane(app) == {Lane.BULK: 20, Lane.LIVE: 5}
    with app.connection_for_read() as connection:
        connection.default_channel.visibility_timeout = -1
        connection.default_channel.qos.restore_visible(num=None)
    with counter(app) as consumer:
        consumer.channel.places = {}
        assert sorted(consumer.wait(25)) == sorted([*names(20), *names(5, "l")])


def test_each_lane_has_places_of_its_own(app: Celery) -> None:
    """However much bulk there is, it takes no place of live messages, and the other way round."""
    announce(app, "books", names(10))
    with counter(app) as consumer:
        assert consumer.wait(2) == ["b0", "b1"]
        consumer.drain()
        assert len(consumer.messages) == 2, "bulk has two places"
        announce(app, "books", names(9, "l"), Lane.LIVE)
        assert consumer.wait(5)[2:] == ["l0", "l1", "l2"]
        consumer.drain()
        assert len(consumer.messages) == 5, "live has three"
        consumer.messages[0].ack()
        assert consumer.wait(6)[5] == "b2", "a place is free again"
        consumer.messages[2].reject()
        assert consumer.wait(7)[6] == "l3"
        consumer.drain()
        assert len(consumer.messages) == 7


def test_acknowledgements_are_sent_together(app: Celery, client: redis_py.Redis) -> None:
    """With an event loop they wait for its next turn, and are not lost when it ends."""
    announce(app, "books", names(6))
    with counter(app, BULK_QUEUE) as consumer:
        consumer.wait(2)
        consumer.channel.connection.cycle.has_loop = True
        for message in consumer.messages:
            message.ack()
        assert client.hlen("unacked") == 2
        consumer.wait(4)
        assert client.hlen("unacked") == 2, "those two, instead of the others"
        for message in consumer.messages[2:]:
            message.ack()
    assert waiting_messages(app) == 2, "told at the close, and not put back"


def test_what_is_not_acknowledged_is_put_back_at_the_end(app: Celery) -> None:
    """A consumer that ends in order leaves its messages to others, at once."""
    announce(app, "books", names(2))
    with counter(app) as consumer:
        consumer.wait(2)
    with counter(app) as consumer:
        assert sorted(consumer.wait(2)) == names(2)


def test_plain_kombu_takes_part(app: Celery, server: RedisServer, client: redis_py.Redis) -> None:
    """The layout is kombu's: its producers, with priorities, and its consumers."""
    plain = Queue(BULK_QUEUE)
    with PlainConnection(server.url) as connection:
        for priority in (9, 0):
            connection.Producer().publish(
                [["books", f"p{priority}"]], priority=priority, declare=[plain],
                exchange=plain.exchange, routing_key=BULK_QUEUE,
            )  # fmt: skip
    with counter(app) as consumer:
        assert consumer.wait(2) == ["p0", "p9"]
        kept = client.hvals("unacked")
        assert [json.loads(record)[2] for record in kept] == [BULK_QUEUE] * 2
        with PlainConnection(
            server.url, transport_options={"visibility_timeout": -1}
        ) as connection:
            connection.default_channel.qos.restore_visible(num=None)
    assert client.llen(BULK_QUEUE) == 1
    assert client.llen(f"{BULK_QUEUE}\x06\x169") == 1


def test_what_is_no_message_is_dropped(
    app: Celery, client: redis_py.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes that nobody could deliver stop nobody, and are told."""
    announce(app, "books", ["spoilt"])
    message = client.lpop(BULK_QUEUE)
    assert isinstance(message, bytes)
    announce(app, "books", ["b"])
    spoilt = message.replace(b'"utf-8"', b'"utf-8\xff"')
    assert spoilt != message
    for nonsense in (b"\xff", b"7", b"{}", b'{"properties": {"delivery_tag": 7}}', spoilt):
        client.rpush(BULK_QUEUE, nonsense)
    with caplog.at_level(logging.ERROR), counter(app) as consumer:
        assert consumer.wait(1) == ["b"]
    dropped = [r for r in caplog.records if getattr(r, "event", "") == "message_unreadable"]
    assert len(dropped) == 5
    assert waiting_messages(app) == 1


def test_a_full_redis_gives_messages_away(app: Celery, client: redis_py.Redis) -> None:
    """What it moves it can write down, and an ear that it refuses is no error."""
    announce(app, "books", names(2))
    client.config_set("maxmemory", "1")
    with counter(app) as consumer:
        assert consumer.wait(2) == names(2)
        assert client.hlen("unacked") == 2
        for message in consumer.messages:
            message.ack()
        consumer.drain()
        assert all(ear.is_listening for ear in consumer.channel.ears.values()), "or rests"
        client.config_set("maxmemory", "0")
        announce(app, "books", ["after"])
        assert consumer.wait(3)[2] == "after"


def test_acknowledging_to_nobody_gives_the_place_back(
    app: Celery, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits for messages, and nobody else, hears that the broker is gone; it can go on."""
    announce(app, "books", names(3))
    with counter(app) as consumer:
        consumer.wait(2)
        assert not consumer.channel.qos.room(BULK_QUEUE)
        server.kill()
        consumer.messages[0].ack()
        assert consumer.channel.qos.room(BULK_QUEUE) == 1
        assert [getattr(r, "event", "") for r in caplog.records][-1:] == ["ack_failed"]
        with pytest.raises(consumer.connection.connection_errors):
            consumer.wait(3)
        server.start()
    # The copy of what was acknowledged comes back some day, and is harmless; the rest at once.
    with counter(app) as again:
        assert sorted(again.wait(2)) == ["b1", "b2"]


def test_messages_lie_in_their_lanes(app: Celery, client: redis_py.Redis) -> None:
    """What is announced live does not stand behind what is not."""
    announce(app, "books", ["b"])
    announce(app, "books", ["l"], Lane.LIVE)
    assert [raw_batch_of(m) for m in client.lrange(LIVE_QUEUE, 0, -1)] == ["l"]
    assert [raw_batch_of(m) for m in client.lrange(BULK_QUEUE, 0, -1)] == ["b"]
