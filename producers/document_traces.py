"""From documents to the spans that drafted them, for the traces of the batches they end in."""

from collections.abc import Iterable
from typing import Final

from opentelemetry.trace import SpanContext

from contract.batch import Batch

MOST_DOCUMENTS: Final = 10_000
"""Of which a batch is not published yet; more are forgotten, the oldest first."""
MOST_LINKS: Final = 16


class DocumentTraces:
    """Remembers the spans of documents on their way from drafting to publishing."""

    def __init__(self) -> None:
        """Begin with none."""
        self._spans: dict[str, SpanContext] = {}

    def note(self, documents: Iterable[str], drafted: SpanContext) -> None:
        """Hear which span drafted some documents; forgotten at once unless it is sampled."""
        if not drafted.trace_flags.sampled:
            return
        for document in documents:
            self._spans[document] = drafted
        while len(self._spans) > MOST_DOCUMENTS:
            del self._spans[next(iter(self._spans))]

    def of(self, batch: Batch) -> list[SpanContext]:
        """Give the spans that drafted the documents of a batch, each once, and not very many."""
        if not self._spans:
            return []
        found = (self._spans.get(part.document_id) for part in batch.parts)
        spans = {context.span_id: context for context in found if context is not None}
        return list(spans.values())[:MOST_LINKS]
