"""Promises of what a person typed and set: which budget an import has."""

from typing import Any

import pytest

from contract.errors import UsageError
from contract.settings import Settings
from headrace.budgets import budgets_of


def _settings(**values: Any) -> Settings:
    return Settings.model_validate({"embedding_provider": "openai", **values})


def test_nothing_typed_and_nothing_set_is_no_limit() -> None:
    """Then nothing is counted."""
    assert budgets_of(_settings()) is None


def test_dollars_become_tokens_at_the_price() -> None:
    """Of two budgets the smaller holds, and says under which name it was given."""
    priced = _settings(embedding_price=0.02, source_cost_per_day=0.5)
    budgets = budgets_of(priced, max_tokens=5_000_000, max_cost=0.07)
    assert budgets is not None
    assert budgets.run is not None
    assert budgets.day is not None
    assert (budgets.run.tokens, budgets.day.tokens) == (3_500_000, 25_000_000)
    assert budgets.run.setting == "--max-cost 0.07, 3500000 tokens"
    assert budgets.day.setting.startswith("source_cost_per_day 0.5")
    budgets = budgets_of(priced, max_tokens=10, max_cost=0.07)
    assert budgets is not None
    assert budgets.run is not None
    assert budgets.run.setting == "--max-tokens 10"


def test_a_cost_without_a_price_is_refused() -> None:
    """With what to do; a budget in tokens needs no price."""
    unknown: dict[str, Any] = {"embedding_base_url": "http://gpu:8000/v1"}
    with pytest.raises(UsageError, match=r"--max-cost: .* HEADRACE_EMBEDDING_PRICE"):
        budgets_of(_settings(**unknown), max_cost=1.0)
    with pytest.raises(UsageError, match="source_cost_per_day"):
        budgets_of(_settings(**unknown, source_cost_per_day=1.0))
    assert budgets_of(_settings(**unknown), max_tokens=1) is not None


def test_what_is_free_is_not_limited_by_a_cost() -> None:
    """The local model costs nothing, so no cost is ever reached."""
    assert budgets_of(_settings(embedding_provider="local"), max_cost=1.0) is None
    assert budgets_of(_settings(embedding_price=0), max_cost=1.0) is None


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        ({"embedding_provider": "local"}, 10),
        ({}, 9),
        ({"embedding_model": "bge-m3", "embedding_base_url": "http://gpu:8000/v1"}, 12),
    ],
)
def test_tokens_are_those_of_the_model(values: dict[str, Any], tokens: int) -> None:
    """WordPiece for the local one, OpenAI's own for theirs, and a third of the bytes of others."""
    budgets = budgets_of(_settings(**values), max_tokens=1)
    assert budgets is not None
    assert budgets.count("The unaffable sluice keeps knocking.") == tokens
