"""Counting tokens as the configured model does, before anything is embedded."""

from collections.abc import Callable

from contract.settings import Settings
from contract.wordpiece import wordpiece
from worker.embedding.build import LOCAL, OPENAI
from worker.embedding.tokens import ByBytes, Cl100k, knows


def counter_of(settings: Settings) -> Callable[[str], int]:
    """Give what counts the tokens of a text.

    It is the model's own tokenizer for the local model and for those of OpenAI; of others, whose
    vocabulary is not known, it gives a third of the bytes, which is more than most texts have.
    """
    if settings.embedding_provider == LOCAL:
        return wordpiece().count
    # The name of the model says nothing about a class of the user's own.
    if settings.embedding_provider == OPENAI and knows(settings.embedding_model):
        return Cl100k().count
    return ByBytes().count
