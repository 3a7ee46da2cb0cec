"""Promises of what embedding costs."""

from typing import Any

import pytest

from contract.prices import cost_usd, price_of
from contract.settings import load_settings


@pytest.mark.parametrize(
    ("settings", "price"),
    [
        ({}, 0.0),
        ({"embedding_provider": "openai"}, 0.02),
        ({"embedding_provider": "openai", "embedding_model": "text-embedding-3-large"}, 0.13),
        ({"embedding_provider": "openai", "embedding_model": "of-tomorrow"}, None),
        ({"embedding_provider": "openai", "embedding_base_url": "http://here/v1"}, None),
        ({"embedding_provider": "some.module:Embeddings"}, None),
        ({"embedding_provider": "some.module:Embeddings", "embedding_price": 0.5}, 0.5),
        ({"embedding_price": 0.0, "embedding_provider": "openai"}, 0.0),
    ],
)
def test_price(settings: dict[str, Any], price: float | None) -> None:
    """The setting counts first; what runs here is free; elsewhere nobody knows."""
    assert price_of(load_settings({}, **settings)) == price


def test_cost() -> None:
    """A price is for a million tokens; without one there is no cost."""
    assert cost_usd(1_500_000, 0.02) == 0.03
    assert cost_usd(10, 0.0) == 0.0
    assert cost_usd(10, None) is None
