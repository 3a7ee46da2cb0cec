"""The ways that are compared, with the settings that each peer's documentation names for speed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HEADRACE = "headrace"


@dataclass(frozen=True, slots=True)
class Way:
    """One way from chunks to rows in Milvus.

    Attributes:
        name: for ``--only`` and JSON.
        label: what a person calls it.
        peer: names the program, its requirements and its environment; empty for headrace.
        call: which of the program's ways.
        options: settings of the peer, as it names them.
        is_sampled: whether it brings in a sample alone: all would take hours.
        remark: why it is set up as it is.
    """

    name: str
    label: str
    peer: str
    call: str
    options: Mapping[str, Any] = field(default_factory=dict)
    is_sampled: bool = False
    remark: str = ""

    @property
    def settings(self) -> str:
        """The options on one line; empty where there are none."""
        return ", ".join(f"{name}={value}" for name, value in self.options.items())


WAYS: Sequence[Way] = (
    Way(
        HEADRACE,
        "headrace import",
        "",
        "",
        remark="the whole command: reads, splits, plans, embeds, writes, commits",
    ),
    Way(
        "llamaindex-arun",
        "LlamaIndex IngestionPipeline.arun",
        "llamaindex",
        "arun",
        {"embed_batch_size": 100, "batch_size": 100},
        remark="the defaults of OpenAIEmbedding and MilvusVectorStore; no cache, no docstore",
    ),
    Way(
        "llamaindex-arun-large",
        "LlamaIndex arun, larger batches",
        "llamaindex",
        "arun",
        {"embed_batch_size": 256, "batch_size": 1_000},
        remark="no cache, no docstore",
    ),
    Way(
        "llamaindex-run",
        "LlamaIndex run by processes",
        "llamaindex",
        "run",
        {"num_workers": os.cpu_count() or 1, "embed_batch_size": 100, "batch_size": 100},
        remark="a process for each core, which is the most that it takes",
    ),
    Way(
        "aindex",
        "LangChain aindex",
        "langchain",
        "aindex",
        {"batch_size": 100},
        remark="the default; record manager in memory, cleanup=None, key_encoder=sha256",
    ),
    Way(
        "aindex-large",
        "LangChain aindex, larger batches",
        "langchain",
        "aindex",
        {"batch_size": 1_000},
        remark="'select as big a batch size as possible'; chunk_size of OpenAIEmbeddings is 1000",
    ),
    Way(
        "gather",
        "LangChain gather of aadd_documents([d])",
        "langchain",
        "gather",
        {"at_once": 64},
        remark="the first one alone, as all of them would make the collection",
    ),
    Way(
        "loop",
        "LangChain loop of add_documents([d])",
        "langchain",
        "loop",
        is_sampled=True,
    ),
    Way(
        "haystack",
        "Haystack Pipeline.run",
        "haystack",
        "pipeline",
        {"batch_size": 32},
        remark="the default of OpenAIDocumentEmbedder; MilvusDocumentStore writes 1000 at once",
    ),
    Way(
        "haystack-large",
        "Haystack, larger batches",
        "haystack",
        "pipeline",
        {"batch_size": 256},
    ),
)


def chosen(names: Sequence[str]) -> list[Way]:
    """Give the ways of these names and headrace, which the ratios need; all if none is named.

    Raises:
        ValueError: there is no such way.
    """
    known = [way.name for way in WAYS]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"no such way: {', '.join(unknown)}; there are: {', '.join(known)}")
    return [way for way in WAYS if not names or way.name in {*names, HEADRACE}]
