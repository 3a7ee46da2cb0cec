"""What embedding costs. Pure."""

import math
from decimal import Decimal
from typing import Final

from contract.errors import UsageError
from contract.settings import Settings

LIST_PRICES: Final = {
    "text-embedding-3-small": 0.02,
    "text-embedding-3-large": 0.13,
    "text-embedding-ada-002": 0.10,
}
"""US dollars per million tokens at OpenAI itself, as it announced them on 25 January 2024."""


_MILLION = 1_000_000


def cost_usd(tokens: int, price: float | None) -> float | None:
    """Give US dollars for tokens at a price a million, or None when that is not known."""
    return None if price is None else round(tokens * price / _MILLION, 6)


def tokens_for(usd: float, price: float) -> float:
    """Give the tokens that US dollars pay for at a price a million; infinite when they are free."""
    # By way of a decimal: 0.07 at 0.02 are 3,500,000 tokens, not one less.
    return float(Decimal(str(usd)) * _MILLION // Decimal(str(price))) if price else math.inf


def require_price(settings: Settings, max_cost: float | None) -> None:
    """Refuse to limit a cost that can't be told.

    Raises:
        UsageError: a cost is limited, and the price is not known.
    """
    limits = {"--max-cost": max_cost, "source_cost_per_day": settings.source_cost_per_day}
    given = [name for name, usd in limits.items() if usd is not None]
    if given and price_of(settings) is None:
        raise UsageError(
            f"{given[0]}: what this model costs is not known; set HEADRACE_EMBEDDING_PRICE (US "
            "dollars per million tokens), or limit tokens instead"
        )


def price_of(settings: Settings) -> float | None:
    """Give US dollars per million tokens, or None when they are not known."""
    if settings.embedding_price is not None:
        return settings.embedding_price
    if settings.embedding_provider == "local":
        return 0.0
    if settings.embedding_provider == "openai" and settings.embedding_base_url is None:
        return LIST_PRICES.get(settings.embedding_model)
    return None
