"""A book of schedules in the session's Redis."""

import pytest
from redis.asyncio import Redis

from headrace.schedules.book import Book
from headrace.schedules.leases import Leases


@pytest.fixture
def book(redis: Redis) -> Book:
    """Give the book of an empty Redis."""
    return Book(redis)


@pytest.fixture
def leases(redis: Redis) -> Leases:
    """Give its leases."""
    return Leases(redis)
