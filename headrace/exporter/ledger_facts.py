"""What was read of all ledgers, and how it becomes metrics."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from contract.lane import Lane
from contract.ledger.counters import BEGUN, COMPLETED
from contract.ledger.survey import LedgerState
from contract.presence import Trouble
from contract.prices import cost_usd
from headrace.exporter import catalogue as c
from headrace.exporter.job_watch import ActiveJob
from headrace.exporter.places import Places
from headrace.exporter.samples import Samples

_COUNTERS = {
    c.SOURCE_CHUNKS: "chunks_written",
    c.SOURCE_DELETES: "documents_removed",
    c.SOURCE_BYTES: "source_bytes",
    c.SOURCE_TOKENS: "tokens",
}


@dataclass(frozen=True, slots=True)
class CollectionFacts:
    """One collection."""

    state: LedgerState
    active: Sequence[ActiveJob]
    held: int
    """Sources whose newest job stopped at a budget."""


@dataclass(frozen=True, slots=True)
class Queues:
    """Messages at the broker, by lane."""

    waiting: Mapping[Lane, int]
    unacknowledged: Mapping[Lane, int]


@dataclass(frozen=True, slots=True)
class Presence:
    """Who gives signs of life."""

    workers: Sequence[str]
    producers: Sequence[str]
    troubles: Mapping[str, Sequence[Trouble]]
    """By worker: the servers that it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """All collections, read at one time."""

    read_at: float
    """In seconds since 1970, by the clock of this machine."""
    collections: Mapping[str, CollectionFacts]
    queues: Queues
    presence: Presence
    price: float | None
    """US dollars per million tokens; None: not known."""
    source_places: Places[tuple[str, str]]
    job_places: Places[tuple[str, str]]

    def put(self, samples: Samples, now: float) -> None:
        """Put everything."""
        self._put_presence(samples)
        for lane in Lane:
            samples.add(c.QUEUED, self.queues.waiting.get(lane, 0), lane.value)
            samples.add(c.UNACKNOWLEDGED, self.queues.unacknowledged.get(lane, 0), lane.value)
        tokens = 0
        for metric in (c.CHUNKS, c.BYTES, c.HELD):
            samples.add(metric, 0)
        for name, facts in self.collections.items():
            self._put_work(samples, facts.state, now)
            self._put_letters(samples, facts.state)
            samples.add(c.HELD, facts.held)
            tokens += sum(facts.state.tokens_today.values())
            for source in self.sources_of(name):
                self._put_source(samples, (name, source), now)
        self._put_jobs(samples)
        samples.add(c.TOKENS_TODAY, tokens)
        samples.add(c.COST_TODAY, cost_usd(tokens, self.price) or 0.0)

    def sources_of(self, collection: str) -> list[str]:
        """Name the sources of a collection, also those that are forgotten and have counters."""
        state = self.collections[collection].state
        return sorted(state.counters.keys() | state.documents.keys())

    @property
    def sources(self) -> Iterator[tuple[str, str]]:
        """Give all (collection, source), in order."""
        for name in sorted(self.collections):
            for source in self.sources_of(name):
                yield name, source

    def _put_presence(self, samples: Samples) -> None:
        samples.add(c.PRESENT, len(self.presence.workers), "worker")
        samples.add(c.PRESENT, len(self.presence.producers), "producer")
        for troubles in self.presence.troubles.values():
            for dependency in {trouble.dependency for trouble in troubles}:
                if dependency in c.DEPENDENCIES:
                    samples.add(c.WAITING, 1, dependency)

    def _put_work(self, samples: Samples, state: LedgerState, now: float) -> None:
        samples.add(c.CHUNKS, state.totals.chunks)
        samples.add(c.BYTES, state.totals.bytes)
        counted = 0
        for lane, found in state.lanes.items():
            numbers = (found.waiting, found.resting, found.leased, found.parked)
            counted += sum(numbers)
            for name, number in zip(c.STATES, numbers, strict=True):
                samples.add(c.BATCHES, number, lane.value, name)
            if found.oldest_ms:
                age = found.oldest_ms / 1000 + max(now - self.read_at, 0)
                samples.keep_most(c.OLDEST, age, lane.value)
        # Of jobs that were paused so long ago that nobody looks at them.
        unseen = max(state.totals.batches - counted, 0)
        samples.add(c.BATCHES, unseen, Lane.BULK.value, "parked")

    def _put_letters(self, samples: Samples, state: LedgerState) -> None:
        for reason, number in state.letters.now.items():
            samples.add(c.LETTERS, number, _reason(reason))
        for reason, number in state.letters.written.items():
            samples.add(c.LETTERS_WRITTEN, number, _reason(reason))
        older = state.dead_letters - sum(state.letters.now.values())
        samples.add(c.LETTERS, older, c.OTHER)  # written by a release that did not count them

    def _put_source(self, samples: Samples, name: tuple[str, str], now: float) -> None:
        state = self.collections[name[0]].state
        counters = state.counters.get(name[1], {})
        labels = name if name in self.source_places else (c.OTHER, c.OTHER)
        for outcome in c.OUTCOMES:
            number = counters.get(f"documents_{outcome}", 0)
            samples.add(c.SOURCE_DOCUMENTS, number, *labels, outcome)
        for metric, counter in _COUNTERS.items():
            samples.add(metric, counters.get(counter, 0), *labels)
        samples.add(c.DOCUMENTS, state.documents.get(name[1], 0), *labels)
        known_ms = counters.get(COMPLETED) or counters.get(BEGUN)
        if known_ms and name[1] in state.documents:  # else it is forgotten
            samples.keep_least(c.SOURCE_SUCCESS, self._fresh_ms(name, known_ms) / 1000, *labels)
            age = max(now - samples.value(c.SOURCE_SUCCESS, *labels), 0.0)
            samples.keep_most(c.SOURCE_AGE, age, *labels)

    def _fresh_ms(self, name: tuple[str, str], known_ms: int) -> int:
        """Tell up to when a source is known: one that is watched up to now."""
        seen = [
            active.job.seen_ms
            for active in self.collections[name[0]].active
            if active.job.source == name[1] and active.job.watching and not active.job.trouble
        ]
        return max(known_ms, *seen) if seen else known_ms

    def _put_jobs(self, samples: Samples) -> None:
        grouped: dict[tuple[str, str], list[ActiveJob]] = {}
        for name in sorted(self.collections):
            for active in self.collections[name].active:
                samples.add(c.ACTIVE_JOBS, 1, active.state.value)
                place = (name, active.job.source)
                if place not in self.job_places:
                    place = (c.OTHER, c.OTHER)
                grouped.setdefault(place, []).append(active)
        for labels, jobs in grouped.items():
            self._put_jobs_of(samples, labels, jobs)

    def _put_jobs_of(
        self, samples: Samples, labels: tuple[str, str], jobs: Sequence[ActiveJob]
    ) -> None:
        settled = sum(active.job.documents_settled for active in jobs)
        promised = sum(active.promised for active in jobs)
        failed = sum(
            active.job.count("documents_failed") + active.job.count("documents_unreadable")
            for active in jobs
        )
        listed = sum(active.job.count("documents_listed") for active in jobs)
        for state, number in zip(c.DOCUMENT_STATES, (listed, settled, failed), strict=True):
            samples.add(c.JOB_DOCUMENTS, number, *labels, state)
        samples.add(c.JOB_ETA, eta_seconds(jobs) or 0.0, *labels)
        samples.add(c.JOB_PROGRESS, settled / promised if promised else 0.0, *labels)


def eta_seconds(jobs: Sequence[ActiveJob]) -> float | None:
    """Tell when all of these jobs are through; None where that is not known of one."""
    etas = [active.eta_seconds for active in jobs]
    if not etas or None in etas:
        return None
    pace = sum(active.per_second for active in jobs)
    return sum(active.left for active in jobs) / pace


def _reason(reason: str) -> str:
    return reason if reason in c.REASONS else c.OTHER
