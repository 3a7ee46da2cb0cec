"""What the status page shows, read from Redis: never a text of a document, never a secret."""

import time
from importlib.metadata import version
from typing import Any, Final

from redis.asyncio import Redis

from contract.ledger.counters import COMPLETED, Counters
from contract.ledger.jobs import collections
from contract.ledger.letters import Letters
from contract.ledger.records import DeadLetter
from contract.ledger.sources import Sources
from contract.settings import Settings
from headrace.looks import Looks
from headrace.overview import Overview, overview_as_dict
from headrace.schedules.book import Book, Entry
from headrace.schedules.run import Run
from headrace.status import LOOKED_AT_JOBS, read_status

SHOWN_LETTERS: Final = 100
SHOWN_JOBS: Final = 50
SHOWN_SOURCES: Final = 200
SHOWN_SCHEDULES: Final = 100
LETTERS_SECONDS: Final = 5.0
"""Between two readings of dead letters, while their number stays: each holds what a replay of its
document needs."""
LETTERS_PAGE: Final = 50
LONGEST_MESSAGE: Final = 300


class PageReader:
    """Reads for one page, whoever looks at it; used by one event loop."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self._redis = redis
        self._settings = settings
        self._looks = Looks(settings.source_tokens_per_day)
        self._letters: dict[str, Any] = {}
        self._letters_at = float("-inf")
        self._letters_counted = 0

    async def read(self) -> dict[str, Any]:
        """Read everything; times are ms since the epoch, ages and rates in seconds.

        Raises:
            RedisError: Redis does not answer, or refuses.
        """
        is_broker = self._settings.broker_url in {None, self._settings.redis_url}
        status = await read_status(self._redis, jobs=LOOKED_AT_JOBS, is_broker=is_broker)
        seen = self._looks.add(status)
        is_old = time.monotonic() - self._letters_at > LETTERS_SECONDS
        if is_old or seen.dead_letters != self._letters_counted:
            self._letters = await self._read_letters()
            self._letters_at = time.monotonic()
            self._letters_counted = seen.dead_letters
        shown = overview_as_dict(seen)
        return {
            **shown,
            "version": version("headrace"),
            "jobs": shown["jobs"][:SHOWN_JOBS],
            "sources": await self._read_sources(seen),
            "schedule_list": await self._read_schedules(seen),
            **self._letters,
        }

    async def _read_letters(self) -> dict[str, Any]:
        shown: list[dict[str, Any]] = []
        reasons: dict[str, int] = {}
        for collection in await collections(self._redis):
            letters = Letters(self._redis, collection)
            for reason, number in (await letters.counts()).now.items():
                reasons[reason] = reasons.get(reason, 0) + number
            if len(shown) < SHOWN_LETTERS:
                async for letter in letters.scan(LETTERS_PAGE):
                    shown.append(_letter(collection, letter))
                    if len(shown) >= SHOWN_LETTERS:
                        break
        # One may come twice if others come and go meanwhile.
        by_id = {(item["collection"], item["id"]): item for item in shown}
        newest = sorted(by_id.values(), key=lambda item: (-item["at_ms"], item["key"]))
        counts = dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
        return {"letters": newest, "letter_reasons": {k: n for k, n in counts.items() if n > 0}}

    async def _read_sources(self, seen: Overview) -> list[dict[str, Any]]:
        tokens = {(use.collection, use.source): use for use in seen.day_uses}
        shown: list[dict[str, Any]] = []
        for collection in await collections(self._redis):
            counters = await Counters(self._redis, collection).by_source()
            for source in await Sources(self._redis, collection).all():
                use = tokens.get((collection, source.name))
                shown.append(
                    {
                        "collection": collection,
                        "name": source.name,
                        "documents": source.documents,
                        "completed_ms": counters.get(source.name, {}).get(COMPLETED, 0),
                        "tokens_today": use.tokens if use else 0,
                        "tokens_limit": self._settings.source_tokens_per_day,
                    }
                )
        return shown[:SHOWN_SOURCES]

    async def _read_schedules(self, seen: Overview) -> list[dict[str, Any]]:
        book = Book(self._redis)
        shown = []
        for entry in (await book.entries())[:SHOWN_SCHEDULES]:
            runs = await book.runs(entry.schedule.name, 3)
            ended = next((run for run in runs if run.finished_ms), None)
            shown.append(_schedule(entry, ended, seen))
        return shown


def _letter(collection: str, letter: DeadLetter) -> dict[str, Any]:
    return {
        "collection": collection,
        "id": letter.document_id,
        "source": letter.source,
        "key": letter.key,
        "stage": letter.stage,
        "reason": letter.reason,
        "message": letter.message[:LONGEST_MESSAGE],
        "attempts": letter.attempts,
        "at_ms": letter.at_ms,
    }


def _schedule(entry: Entry, ended: Run | None, seen: Overview) -> dict[str, Any]:
    if entry.paused:
        state = "paused"
    elif entry.schedule.name in seen.overdue:
        state = "overdue"
    else:
        state = "under way" if entry.active else "waiting"
    return {
        "name": entry.schedule.name,
        "source": entry.schedule.source_name(),
        "collection": entry.schedule.collection,
        "state": state,
        "next_due_ms": entry.next_due_ms(seen.now_ms),
        "last_state": ended.state.value if ended else "",
        "last_ms": ended.finished_ms if ended else 0,
        "last_reason": ended.reason[:LONGEST_MESSAGE] if ended else "",
    }
