"""LangChain ``Document``s of a program's own as a source."""

from collections.abc import Iterable, Iterator

import msgspec
from langchain_core.documents import Document as LangChainDocument

from contract.errors import DocumentError, UsageError
from producers.document import Document, Entry, Omission, Reason

_FORMAT = "text"
_VERSION = "document-1"


class DocumentSource:
    """Documents that a program hands over; each needs an ``id``, which becomes its key.

    Attributes:
        name: the source's name.
        shows_all: whether documents that are not handed over are to be deleted.
        complete: True once the iterable has come to its end.
    """

    def __init__(
        self, name: str, documents: Iterable[LangChainDocument], *, shows_all: bool = False
    ) -> None:
        """Take documents from an iterable that is read once, as the job goes on.

        Args:
            name: the source's name.
            documents: with ``id``, ``page_content`` and JSON values as ``metadata``.
            shows_all: these are all that there are; by default they are some, and the others
                stay as they are.
        """
        self.name = name
        self.shows_all = shows_all
        self.complete = False
        self._documents = documents
        self._waiting: dict[bytes, LangChainDocument] = {}

    @property
    def origin(self) -> str:
        """Programs have no place of their own."""
        return "python"

    def listing(self) -> Iterator[Entry | Omission]:
        """List the documents in the order in which they come.

        Raises:
            UsageError: a document has no id.
        """
        for document in self._documents:
            if not document.id:
                raise UsageError("a document needs an id: Document(id=..., page_content=...)")
            key = document.id.encode()
            self._waiting[key] = document
            size = len(document.page_content)
            yield Entry(document.id, key, None, size, 0)
        self.complete = True

    def covers(self, key_bytes: bytes) -> bool:  # noqa: ARG002 - any id may come
        """Any document of the source may be handed over."""
        return True

    async def read(self, entry: Entry, max_bytes: int) -> bytes:
        """Give text and metadata in one stable form.

        Raises:
            DocumentError: it is too big, or its metadata can't be stored.
        """
        document = self._waiting.pop(entry.key_bytes, None)
        if document is None:
            raise DocumentError(Reason.REPEATED, "the same id came twice; the last one counts")
        try:
            data = msgspec.json.encode(
                [document.page_content, document.metadata], order="deterministic"
            )
        except (TypeError, ValueError) as error:
            raise DocumentError(
                Reason.UNREADABLE, f"metadata or text can't be written as JSON: {error}"
            ) from error
        if len(data) > max_bytes:
            raise DocumentError(Reason.TOO_BIG, f"has {len(data)} bytes; {max_bytes} are allowed")
        return data

    def fingerprint(self, entry: Entry) -> str:  # noqa: ARG002 - the same for all
        """Name this way of reading."""
        return _VERSION

    @staticmethod
    def parse(entry: Entry, data: bytes) -> Document:
        """Give the document back; its metadata may nest.

        Raises:
            DocumentError: there is no text in it.
        """
        text, metadata = msgspec.json.decode(data)
        if not text.strip():
            raise DocumentError(Reason.EMPTY, "there is no text in it")
        return Document(
            entry.key,
            entry.key_bytes,
            text.replace("\0", ""),
            {"path": entry.key, "title": entry.key, **metadata},
            (),
            _FORMAT,
        )
