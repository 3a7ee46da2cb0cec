"""What embedding costs. Pure."""

from typing import Final

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


def price_of(settings: Settings) -> float | None:
    """Give US dollars per million tokens, or None when they are not known."""
    if settings.embedding_price is not None:
        return settings.embedding_price
    if settings.embedding_provider == "local":
        return 0.0
    if settings.embedding_provider == "openai" and settings.embedding_base_url is None:
        return LIST_PRICES.get(settings.embedding_model)
    return None
