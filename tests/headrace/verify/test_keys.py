"""Keys are found again from the paths that rows carry."""

from hypothesis import example, given
from hypothesis import strategies as st

from contract.ids import document_id
from headrace.verify.keys import key_of
from producers.document import printable


@given(key=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
@example("docs/naïve 水車.md")
@example("back\\slash \\x41.txt")
@example("a\tb\nc\u202ed")
def test_names_in_utf8_come_back(key: str) -> None:
    """Exactly, unless a name mixes what is escaped with what only looks like it."""
    data = key.encode()
    shown = printable(data)
    found = key_of("docs", shown, document_id("docs", data))
    assert found == data or "\\" in key


@given(key=st.binary(max_size=20))
@example(b"na\xefve.txt")
def test_names_of_any_bytes_come_back(key: bytes) -> None:
    """Unless both an escaped byte and an escaped character below 256 are in it."""
    found = key_of("docs", printable(key), document_id("docs", key))
    mixed = b"\\" in key or any(not c.isprintable() for c in key.decode("utf-8", "ignore"))
    assert found == key or mixed


def test_a_path_that_is_not_the_key_is_given_as_it_is() -> None:
    """A program's metadata may name another path than the document's id."""
    assert key_of("docs", "path.md", document_id("docs", b"ticket-1")) == b"path.md"
