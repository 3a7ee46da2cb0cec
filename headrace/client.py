"""The Python API: what a program needs to bring documents in, wait for them, and search."""

import asyncio
import dataclasses
import threading
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from langchain_core.documents import Document

from contract.ledger.connection import check, connect, translated
from contract.ledger.records import DeadLetter
from contract.settings import Settings, load_settings
from headrace.importing import Import, ImportOptions
from headrace.loop_thread import loop_thread
from headrace.replaying import ReplaySummary, replay
from headrace.search import Hit, Terms
from headrace.searcher import Searcher
from headrace.selection import Selection
from headrace.session import Session, open_session
from headrace.summary import Summary
from producers.deleting import Deletions
from producers.sources.documents import DocumentSource
from producers.sources.opening import open_any
from producers.sources.source import Source
from worker.embedding.build import make_embedder
from worker.embedding.embedder import Embedder

T = TypeVar("T")


class Headrace:
    """Brings documents into Milvus and searches them; use it in a ``with`` block.

    Entering starts the embedded servers, unless servers are configured; leaving stops what
    was started. The methods block and may be called from any thread; a program with an event
    loop of its own calls them by ``asyncio.to_thread``.

    Example::

        with Headrace() as headrace:
            headrace.import_files("docs")
            for hit in headrace.search("how do I install it?"):
                print(hit.score, hit.path, hit.text)
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Prepare; nothing is started yet.

        Args:
            settings: all settings; read from ``headrace.toml`` and the environment when None.

        Raises:
            SettingsError: some settings are wrong; names them all.
        """
        self._settings = settings or load_settings()
        self._stack = ExitStack()
        self._session: Session | None = None
        self._embedder: Embedder | None = None
        self._searcher: Searcher | None = None
        self._preparing = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        """Start or find the servers.

        Raises:
            UsageError: the configuration is incomplete.
            UnreachableError: an embedded server does not start.
        """
        self._loop = self._stack.enter_context(loop_thread())
        self._session = self._stack.enter_context(open_session(self._settings, lambda _: None))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop what was started."""
        if self._searcher is not None:
            self._run(self._searcher.aclose())
        if self._embedder is not None:
            self._run(self._embedder.aclose())
        self._session = None
        self._stack.close()

    def import_files(  # noqa: PLR0913 - all but the first are named
        self,
        path: str,
        *,
        collection: str | None = None,
        source: str | None = None,
        glob: str | None = None,
        deletions: Deletions = Deletions.GUARDED,
        max_tokens: int | None = None,
        max_cost: float | None = None,
        verify_contents: bool = False,
    ) -> Summary:
        """Bring in a folder, a glob or a file, and wait until all of it can be found.

        Args:
            path: what to read.
            collection: where to; the configured one when None.
            source: name of the source; the folder's name when None.
            glob: only files whose path in the source matches.
            deletions: what becomes of documents whose files are gone.
            max_tokens: to be embedded; where it is reached the summary says so (``held``).
            max_cost: likewise, in US dollars.
            verify_contents: read also files whose times, size and inode have not changed.

        Raises:
            CancelledJobError: someone cancelled the job.
            GuardError: too many documents would have been deleted; all else is done.
            UsageError: the path does not exist, the collection does not fit, or no price is known.
            TransientError: a server does not answer.
        """
        opened = open_any(path, glob=glob, name=source)
        options = self._options(collection, named=source is not None)
        options = dataclasses.replace(
            options,
            deletions=deletions,
            max_tokens=max_tokens,
            max_cost=max_cost,
            verify_contents=verify_contents,
        )
        return self._import(opened, options)

    def import_documents(
        self, documents: Iterable[Document], *, source: str, collection: str | None = None
    ) -> Summary:
        """Bring in documents of the program's own, and wait until all of them can be found.

        A document that comes again with the same id replaces the one before; with the same
        text and metadata it costs nothing.

        Args:
            documents: each with an ``id``; read once, in another thread.
            source: name of the source; with the id it identifies a document.
            collection: where to; the configured one when None.

        Raises:
            UsageError: a document has no id, or the collection does not fit.
            TransientError: a server does not answer.
        """
        return self._import(
            DocumentSource(source, documents), self._options(collection, named=True)
        )

    def dead_letters(
        self, *, collection: str | None = None, selection: Selection | None = None
    ) -> list[DeadLetter]:
        """Give the dead letters of a collection: documents that could not be brought in.

        Args:
            collection: whose; the configured one when None.
            selection: which of them; all when None.

        Raises:
            TransientError: Redis does not answer.
        """
        chosen = self._chosen(collection, selection)
        return self._run(_read_letters(self._entered().settings, chosen))

    def replay(
        self,
        *,
        collection: str | None = None,
        selection: Selection | None = None,
        accept: bool = False,
    ) -> list[ReplaySummary]:
        """Try dead letters once more, and wait until all that came of it can be found.

        Args:
            collection: whose; the configured one when None.
            selection: which of them; all when None.
            accept: leave out the chunks that are to blame.

        Returns:
            One for each source that had letters.

        Raises:
            CancelledJobError: someone cancelled the job.
            TransientError: a server does not answer.
        """
        replaying = replay(
            self._entered(),
            self._chosen(collection, selection),
            accept=accept,
            on_progress=lambda _: None,
            say=lambda _: None,
        )
        return self._run(replaying)

    def _chosen(self, collection: str | None, selection: Selection | None) -> Selection:
        return dataclasses.replace(
            selection or Selection(), collection=collection or self._settings.collection
        )

    def search(
        self,
        query: str,
        *,
        limit: int = 5,
        collection: str | None = None,
        expression: str = "",
        fresh: bool = True,
    ) -> list[Hit]:
        """Find the chunks nearest to a text, each text once, best first.

        Searches of several threads share requests to the model and to Milvus.

        Args:
            query: what to look for.
            limit: how many hits at the most.
            collection: where; the configured one when None.
            expression: a filter in Milvus' language, e.g. ``source == "docs"``.
            fresh: whether to see all that was brought in before, by anyone. For that a server
                waits, half a second at times; else the rows of the last moments may be missing.

        Raises:
            UsageError: there is no such collection, it holds another model's vectors, the
                filter is wrong, or the embedding endpoint refuses the key, the model or the
                text.
            TransientError: Milvus or the embedding endpoint does not answer.
        """
        terms = Terms(collection or self._settings.collection, limit, expression, fresh)
        return self._run(self._searching().search(query, terms))

    def search_many(
        self,
        queries: Sequence[str],
        *,
        limit: int = 5,
        collection: str | None = None,
        expression: str = "",
        fresh: bool = True,
    ) -> list[list[Hit]]:
        """Find the chunks nearest to each of many texts, at about the cost of one search.

        The arguments and errors are those of :meth:`search`; one refused text fails them all.

        Returns:
            Hits for each text, in the order of the texts.
        """
        terms = Terms(collection or self._settings.collection, limit, expression, fresh)
        return self._run(self._searching().search_many(queries, terms))

    def _searching(self) -> Searcher:
        settings = self._entered().settings
        with self._preparing:
            if self._searcher is None:
                self._embedder = make_embedder(settings)
                self._searcher = Searcher(settings, self._embedder)
            return self._searcher

    def _options(self, collection: str | None, *, named: bool) -> ImportOptions:
        return ImportOptions(collection or self._settings.collection, named_source=named)

    def _import(self, source: Source, options: ImportOptions) -> Summary:
        importing = Import(self._entered(), options, on_progress=lambda _: None, say=lambda _: None)
        return self._run(importing.run([source]))[0]

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None  # noqa: S101 - made on entering, with the session
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # on Ctrl-C: stop the workers in order before leaving
            raise

    def _entered(self) -> Session:
        if self._session is None:
            raise RuntimeError("use Headrace in a with block: with Headrace() as headrace: ...")
        return self._session


async def _read_letters(settings: Settings, selection: Selection) -> list[DeadLetter]:
    redis = connect(settings)
    try:
        await check(redis, settings)
        with translated(settings):
            return [letter async for _, letter in selection.letters(redis)]
    finally:
        await redis.aclose()
