"""Promises of what a dry run says."""

from dataclasses import replace

from headrace.forecast import Forecast, Named, text_of
from headrace.summary import Left

_FORECAST = Forecast(
    source="docs",
    collection="books",
    new=1,
    changed=2,
    deleted=3,
    unchanged=4,
    resumed=0,
    skipped=5,
    failed=1,
    kept=0,
    incomplete=False,
    guard="",
    chunks=70,
    tokens=8_000,
    cost_usd=0.0,
    seconds=1.0,
    documents=(Named("a.md", "new"), Named("b.md", "deleted")),
    left_out=(Left("bad.md", "too_big", "has too much", failed=True),),
)


def test_counts_and_names() -> None:
    """Names come on demand; what fails is named in any case."""
    text = text_of(_FORECAST, names=False)
    assert "1 new, 2 changed, 3 deleted, 4 unchanged, 1 failed, 5 skipped" in text
    assert "at most 70 chunks, about 8000 tokens, free of charge" in text
    assert "bad.md: has too much" in text
    assert "a.md" not in text
    named = text_of(_FORECAST, names=True)
    assert "new        a.md" in named
    assert "deleted    b.md" in named
    assert _FORECAST.as_dict()["documents"][0] == {"key": "a.md", "fate": "new"}


def test_costs() -> None:
    """A price that nobody knows is no price of nothing."""
    assert "$0.0002" in text_of(replace(_FORECAST, cost_usd=0.00016), names=False)
    assert "not known" in text_of(replace(_FORECAST, cost_usd=None), names=False)


def test_why_nothing_would_be_deleted() -> None:
    """The guard, an incomplete listing and --no-delete are told."""
    guard = text_of(replace(_FORECAST, guard="too many", kept=3), names=False)
    assert "would stop before it deletes: too many" in guard
    assert "3 documents that are gone" in text_of(replace(_FORECAST, kept=3), names=False)
    assert "nothing would be" in text_of(replace(_FORECAST, incomplete=True), names=False)
