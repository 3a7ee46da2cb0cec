"""Embeds by any LangChain ``Embeddings`` that the user names by its import path."""

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any

from langchain_core.embeddings import Embeddings

from contract.errors import HeadraceError, TimedOutError, TransientError, UsageError
from worker.embedding.checks import check_vectors, to_array
from worker.embedding.embedded import Embedded

_MESSAGE_CHARACTERS = 200


class LangChainEmbedder:
    """Embeds texts by a LangChain ``Embeddings``, by its ``aembed_documents``.

    Args:
        path: ``package.module:Name`` of a class, which is called without arguments, or of an
            instance, which is used as it is.
        dimensions: length of the vectors; None takes what comes first and holds it to that.
        timeout_seconds: longest time of one call. A class without an ``aembed_documents`` of
            its own works in a thread, which can't be stopped and goes on after a time-out.

    Raises:
        UsageError: nothing usable is at this path.
    """

    def __init__(self, path: str, *, dimensions: int | None, timeout_seconds: float) -> None:
        self._path = path
        self._embeddings = _load(path)
        self._dimensions = dimensions
        self._timeout_seconds = timeout_seconds

    @property
    def dimensions(self) -> int | None:
        """Length of the vectors; None before the first reply if it was not configured."""
        return self._dimensions

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts in one call; LangChain tells nothing of tokens.

        Returns:
            Vectors of shape (len(texts), dimensions), in the order of the texts.

        Raises:
            TimedOutError: it took longer than the time-out.
            TransientError: it raised an exception that is not one of ours.
            EmbeddingReplyError: the vectors can't be used.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                vectors = await self._embeddings.aembed_documents(list(texts))
        except HeadraceError:
            raise
        except TimeoutError as error:
            raise TimedOutError(
                f"{self._path} did not embed {len(texts)} texts within {self._timeout_seconds:g} s"
            ) from error
        except Exception as error:  # a stranger's code may raise anything
            raise TransientError(f"{self._path} failed: {_said(error)}") from error
        array = check_vectors(to_array(vectors), len(texts), self._dimensions)
        if len(texts):
            self._dimensions = array.shape[1]
        return Embedded(array, tokens=None)

    async def aclose(self) -> None:
        """Do nothing: what was made elsewhere is closed elsewhere."""


def _load(path: str) -> Embeddings:
    advice = "name a LangChain Embeddings as package.module:Name"
    module_name, colon, name = path.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module_name.split("."), name)):
        raise UsageError(f"the embedding provider {path!r} is no import path; {advice}")
    try:
        found: Any = getattr(importlib.import_module(module_name), name)
        if isinstance(found, type) and issubclass(found, Embeddings):
            found = found()
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the embedding provider {path!r} can't be imported: there is no module "
            f"{error.name!r}; install it, or put its folder on PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise UsageError(
            f"the embedding provider {path!r} can't be loaded: {_said(error)}; {advice}"
        ) from error
    except Exception as error:  # a stranger's code may raise anything
        raise UsageError(
            f"the embedding provider {path!r} can't be loaded: {_said(error)}; a class is called "
            "without arguments, so name an instance if it needs some"
        ) from error
    if not isinstance(found, Embeddings):
        raise UsageError(
            f"the embedding provider {path!r} is a {type(found).__name__}, not a LangChain "
            f"Embeddings; {advice}"
        )
    return found


def _said(error: Exception) -> str:
    line = " ".join(str(error).split())[:_MESSAGE_CHARACTERS]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
