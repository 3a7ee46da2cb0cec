"""Texts that are longer than a model reads: refused or cut, as the user chose.

Never sent as they are: some endpoints refuse the whole request then, some embed the beginning
without a word, and LangChain's client embeds the pieces and takes their average.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from contract.errors import EmbeddingRefusedError
from worker.embedding.bounds import utf8_bytes
from worker.embedding.tokens import Counter

Choice = Literal["refuse", "cut"]


@dataclass(frozen=True, slots=True)
class Overlong:
    """What is done with texts that are too long for a model.

    Attributes:
        max_tokens: of one text; None where it is not known.
        choice: refuse or cut.
        counter: counts as the model does.
    """

    max_tokens: int | None
    choice: Choice
    counter: Counter

    def fitted(self, texts: Sequence[str]) -> Sequence[str]:
        """Give the texts, the long ones cut.

        Raises:
            EmbeddingRefusedError: one of them is too long, and none is to be cut.
        """
        limit = self.max_tokens
        # Most texts are short, and no text has more tokens than bytes of UTF-8.
        if limit is None or all(len(text) * 4 <= limit for text in texts):
            return texts
        return [self._fitted(text, limit) for text in texts]

    def _fitted(self, text: str, limit: int) -> str:
        if utf8_bytes(text) <= limit:
            return text
        tokens = self.counter.count(text)
        if tokens <= limit:
            return text
        if self.choice == "cut":
            return self.counter.cut(text, limit)
        raise EmbeddingRefusedError(
            f"a chunk has {tokens} tokens and the model reads {limit}: make chunk_size smaller, "
            "or set HEADRACE_OVERLONG_CHUNKS=cut"
        )
