"""A net: full, heavy or old enough, it is emptied."""

from producers.document import Entry
from producers.sources.record import Record
from producers.sources.stream import Item, Net


def item(size: int = 1) -> Item:
    """Make an item of so many bytes."""
    return Item("line 1", Record(Entry("a", b"a", None, size, 0), b"x" * size))


def test_the_first_item_says_how_long_all_wait() -> None:
    """Those that come after it do not make it wait longer."""
    seconds = 5.0
    net = Net(1.0, lambda: seconds)
    assert (net.is_empty, net.is_ripe, net.seconds_left) == (True, False, None)
    net.add(item())
    seconds = 5.75
    net.add(item())
    assert (net.is_ripe, net.seconds_left) == (False, 0.25)
    seconds = 6.0
    assert (net.is_ripe, net.seconds_left) == (True, 0.0)
    haul = net.emptied()
    assert (len(haul.items), haul.is_full) == (2, False)
    assert (net.is_empty, net.seconds_left) == (True, None)


def test_a_full_net_waits_for_nobody() -> None:
    """By number or by weight; emptied, it begins anew."""
    net = Net(1.0, lambda: 0.0)
    for _ in range(Net.DOCUMENTS - 1):
        net.add(item())
    assert (net.is_ripe, net.room) == (False, 1)
    net.add(item())
    assert (net.is_ripe, net.room) == (True, 0)
    assert net.emptied().is_full
    net.add(item(Net.BYTES))
    assert (net.is_ripe, net.room) == (True, 0)
    assert net.emptied().is_full
    assert net.room == Net.DOCUMENTS
