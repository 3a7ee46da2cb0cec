"""Names in Redis: apart for each thing, together for each collection."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.names import BULK_QUEUE, LIVE_QUEUE, QUEUES, Keys, is_collection_name

WORDS = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)


@pytest.mark.parametrize("name", ["documents", "_x", "A1_b", "a" * 200])
def test_collection_names(name: str) -> None:
    """What Milvus takes as a name is one."""
    assert is_collection_name(name)


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "ä", "a\n", "a" * 201, "{a}", "a:b"])
def test_no_collection_names(name: str) -> None:
    """What Milvus refuses, or would break a key, is none."""
    assert not is_collection_name(name)


def test_queues() -> None:
    """What is live goes before what is bulk."""
    assert QUEUES == (LIVE_QUEUE, BULK_QUEUE)


def all_keys(keys: Keys, word: str) -> list[str]:
    """Call every method, read every property."""
    found = []
    for name, member in inspect.getmembers(Keys):
        if isinstance(member, property) and name != "prefix":
            found.append(getattr(keys, name))
        elif inspect.isfunction(member) and not name.startswith("_"):
            found.append(getattr(keys, name)(word))
    return found


@given(WORDS)
def test_all_keys_share_one_hash_tag(word: str) -> None:
    """Every key of a collection lies on one node of a cluster, and no two are the same."""
    keys = all_keys(Keys("books"), word)
    assert len(keys) > 8
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("headrace:{books}:") for key in keys)
    assert not set(keys) & set(all_keys(Keys("book"), word))
