"""How large one embedding request may be, and a list of texts cut into such requests."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one request may hold."""

    inputs: int
    tokens: float
    bytes: int
    """Of UTF-8, of all texts together."""


def utf8_bytes(text: str) -> int:
    """Give the size of a text in UTF-8; of one that is ASCII at no cost."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def requests(
    texts: Sequence[str], bounds: Bounds, count: Callable[[str], int]
) -> Iterator[Sequence[str]]:
    """Cut texts into requests, in order; a text that is too large by itself goes alone.

    Counting costs more than all the rest of a request, and no text has more tokens than bytes:
    so tokens are counted only where the bytes do not show already that there is room.

    Args:
        texts: any number.
        bounds: of each request.
        count: tells how many tokens a text has.
    """
    sizes = [utf8_bytes(text) for text in texts]
    total = sum(sizes)
    if len(texts) <= bounds.inputs and total <= min(bounds.bytes, bounds.tokens):
        if texts:
            yield texts
        return
    costs = sizes if total <= bounds.tokens else [count(text) for text in texts]
    begin, size, tokens = 0, 0, 0
    for at, (more, cost) in enumerate(zip(sizes, costs, strict=True)):
        size, tokens = size + more, tokens + cost
        full = at - begin >= bounds.inputs or size > bounds.bytes or tokens > bounds.tokens
        if full and at > begin:
            yield texts[begin:at]
            begin, size, tokens = at, more, cost
    yield texts[begin:]
