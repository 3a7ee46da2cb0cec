"""Promises of the summary of an import."""

from dataclasses import replace

from contract.ledger.jobs import Job
from contract.ledger.records import DeadLetter, Outcome
from headrace.summary import NAMED_OMISSIONS, Summary, summarise, text_of
from producers.document import Omission, Reason
from producers.tally import Tally

_COUNTS = {
    "documents_new": 4,
    "documents_changed": 1,
    "documents_deleted": 2,
    "chunks_written": 100,
    "chunks_reused": 60,
    "tokens": 7,
    "chunks_cached": 30,
    "tokens_saved": 500_000,
}
_JOB = Job("job-1", "shelf", "docs", 0, 0, 1, sealed=True, trouble="", halt="", counts=_COUNTS)


def _letter(document: str) -> DeadLetter:
    return DeadLetter(
        document_id=document,
        source="docs",
        key=f"{document}.md",
        key_bytes=f"{document}.md".encode(),
        job="job-1",
        stage="embed",
        reason="EmbeddingRefusedError",
        message="refused",
        at_ms=0,
    )


def _summary(*omissions: Omission, letters: tuple[DeadLetter, ...] = ()) -> Summary:
    tally = Tally()
    for omission in omissions:
        tally.omit(omission)
    tally.count_outcome(Outcome.UNCHANGED, "")
    tally.count_outcome(Outcome.PENDING, "job-0")
    return summarise(_JOB, letters, tally, 4.0, "done")


def _omission(number: int, reason: Reason) -> Omission:
    return Omission(f"{number}.md", reason, f"because {number}", reason.failed, b"%d" % number)


def test_counts_and_rate() -> None:
    """A summary takes what workers did from the job and what was seen from the tally."""
    summary = _summary(_omission(1, Reason.EMPTY))
    assert (summary.new, summary.changed, summary.unchanged, summary.resumed) == (4, 1, 1, 1)
    assert (summary.skipped, summary.failed, summary.chunks, summary.tokens) == (1, 0, 100, 7)
    assert summary.chunks_per_second == 25.0
    assert not summary.has_dead_letters
    assert summary.as_dict()["left_out"][0]["key"] == "1.md"


def test_what_the_cache_saved_is_told() -> None:
    """Chunks and tokens always, money where there is a price; nothing where nothing was saved."""
    priced = summarise(_JOB, (), Tally(), 4.0, "done", 0.02)
    assert (priced.cached, priced.tokens_saved, priced.usd_saved) == (30, 500_000, 0.01)
    said = "30 from the embedding cache, 500000 tokens saved"
    assert f"{said}, about $0.0100\n" in f"{text_of(priced)}\n"
    unpriced = summarise(_JOB, (), Tally(), 4.0, "done")
    assert unpriced.usd_saved is None
    assert f"{said}\n" in f"{text_of(unpriced)}\n"
    assert "cache" not in text_of(summarise(replace(_JOB, counts={}), (), Tally(), 4.0, "done"))


def test_unreadable_and_dead_documents_have_failed() -> None:
    """Documents that could not be read and those that workers gave up are both counted."""
    letters = (_letter("a"), _letter("b"))
    summary = _summary(_omission(1, Reason.TOO_BIG), letters=letters)
    assert summary.failed == 3
    assert summary.has_dead_letters
    assert [left.key for left in summary.left_out] == ["1.md", "a.md", "b.md"]
    text = text_of(summary)
    assert "3 failed" in text
    assert "a.md: refused" in text


def test_deletions_are_told() -> None:
    """What went, what was kept, and why nothing went."""
    tally = Tally(kept=5, incomplete=True)
    summary = summarise(_JOB, (), tally, 4.0, "done")
    assert (summary.deleted, summary.kept, summary.incomplete) == (2, 5, True)
    text = text_of(summary)
    assert "2 deleted" in text
    assert "5 documents that are gone" in text
    assert "nothing was deleted" in text
    assert "100 written (60 with vectors that were there)" in text
    assert "kept" not in text_of(_summary())


def test_few_skipped_files_are_named_and_many_are_counted() -> None:
    """The text stays short, and says how many it does not name."""
    few = text_of(_summary(*(_omission(n, Reason.EMPTY) for n in range(2))))
    assert "0.md: because 0" in few
    many = NAMED_OMISSIONS + 5
    skipped = text_of(_summary(*(_omission(n, Reason.EMPTY) for n in range(many))))
    assert f"{many} x empty" in skipped
    assert "because" not in skipped
    failed = text_of(_summary(*(_omission(n, Reason.TOO_BIG) for n in range(many))))
    assert failed.count("because") == NAMED_OMISSIONS
    assert "and 5 more" in failed
