"""Promises of the count of places."""

import threading

import pytest

from worker.slots import Slots


def test_a_place_is_free_again_whatever_happens() -> None:
    """Messages are counted for good, places as long as they are in use."""
    slots = Slots(1)

    def fail() -> None:
        with slots.one_taken():
            assert not slots.are_free
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert slots.are_free
    assert (slots.messages, slots.taken) == (1, 0)


def test_threads_do_not_lose_count() -> None:
    """Many at once are counted exactly."""
    slots = Slots(8)

    def work() -> None:
        for _ in range(2_000):
            with slots.one_taken():
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (slots.messages, slots.taken) == (16_000, 0)
