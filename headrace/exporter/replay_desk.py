"""Replays that are asked for over HTTP: who may, what is asked, and what is answered."""

import asyncio
import hmac
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from contract.errors import HeadraceError
from contract.settings import Settings
from contract.side_door import JSON, Request
from headrace.selection import Selection
from headrace.session import Session

MOST_DOCUMENTS: Final = 500

logger = logging.getLogger(__name__)


class Wanted(msgspec.Struct, frozen=True):
    """A document that has a dead letter."""

    collection: str
    id: str


class _Asked(msgspec.Struct, frozen=True):
    documents: list[Wanted]


_decoder = msgspec.json.Decoder(_Asked)

Replayer = Callable[[Settings, str, frozenset[str]], Mapping[str, int]]
"""Replays documents (ids) of a collection; gives numbers of documents by what became of them."""


class ReplayDesk:
    """Answers those who know the token; nobody when there is none."""

    def __init__(self, settings: Settings, replayer: Replayer | None = None) -> None:
        """Prepare; another replayer is for tests."""
        token = settings.status_token
        self._token = token.get_secret_value().encode() if token else b""
        self._settings = settings
        self._replay = replayer or _replayed
        # At most one at a time: each holds a model and clients.
        self._turn = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Tell whether there is a token."""
        return bool(self._token)

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        """Replay what is asked for, if whoever asks may; gives status and JSON.

        No page of another origin can ask: a browser sends neither this header nor this content
        type for it without asking us first, and we do not answer that.
        """
        if not self._may(request.headers.get("authorization", "")):
            said = "wrong token" if self.is_open else "no token is set, so nothing can be replayed"
            return 403, {"said": said}
        if request.headers.get("content-type", "").partition(";")[0].strip() != JSON:
            return 415, {"said": f"the body must be {JSON}"}
        try:
            asked = _decoder.decode(request.body).documents
        except msgspec.DecodeError:
            return 400, {"said": 'the body must be {"documents": [{"collection": ..., "id": ...}]}'}
        if not 0 < len(asked) <= MOST_DOCUMENTS:
            return 400, {"said": f"from 1 to {MOST_DOCUMENTS} documents can be replayed at once"}
        if not self._turn.acquire(blocking=False):
            return 409, {"said": "another replay is being published; try again in a moment"}
        try:
            return self._replay_all(asked)
        finally:
            self._turn.release()

    def _may(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        # Headers come as Latin-1, whatever their bytes mean.
        is_right = hmac.compare_digest(given.encode("latin-1", "replace"), self._token)
        return self.is_open and is_right and scheme.lower() == "bearer"

    def _replay_all(self, asked: Sequence[Wanted]) -> tuple[int, dict[str, Any]]:
        counts: dict[str, int] = {}
        by_collection: dict[str, set[str]] = {}
        for wanted in asked:
            by_collection.setdefault(wanted.collection, set()).add(wanted.id)
        logger.info("replay asked for", extra={"event": "replay", "documents": len(asked)})
        try:
            for collection, ids in sorted(by_collection.items()):
                found = self._replay(self._settings, collection, frozenset(ids))
                for what, number in found.items():
                    counts[what] = counts.get(what, 0) + number
        except HeadraceError as error:
            return 502, {"said": str(error), **counts}
        return 200, {"said": _sentence(counts), **counts}


def _replayed(settings: Settings, collection: str, ids: frozenset[str]) -> Mapping[str, int]:
    # Imported once it is needed: it takes seconds.
    from headrace.replaying import replay  # noqa: PLC0415

    # As servers of someone else: their workers do the rest, and nothing of them is stopped.
    session = Session(settings, is_local=False)
    selection = Selection(collection=collection, documents=ids)
    summaries = asyncio.run(
        replay(session, selection, detach=True, on_progress=lambda _: None, say=lambda _: None)
    )
    return {
        "replayed": sum(item.replayed for item in summaries),
        "pending": sum(item.pending for item in summaries),
        "outdated": sum(item.outdated for item in summaries),
        "refused": sum(item.refused for item in summaries),
    }


def _sentence(counts: Mapping[str, int]) -> str:
    words = {
        "replayed": "on their way",
        "pending": "in another job's hands",
        "outdated": "changed since, and forgotten",
        "refused": "can't be replayed",
    }
    said = [f"{counts[key]} {what}" for key, what in words.items() if counts.get(key)]
    return ", ".join(said) or "no such dead letters any more"
