"""What an import may use, from what a person typed and set."""

import math
import time
from collections.abc import Callable

from contract.prices import price_of, require_price, tokens_for
from contract.settings import Settings
from headrace.tokens import counter_of
from producers.spending import Budget, Budgets


def budgets_of(
    settings: Settings,
    *,
    max_tokens: int | None = None,
    max_cost: float | None = None,
    now: Callable[[], float] = time.time,
) -> Budgets | None:
    """Give the budgets of one run; None when nothing is limited.

    What costs nothing is not limited by a cost.

    Args:
        settings: hold the budgets of a day, the model, and its price.
        max_tokens: of the run.
        max_cost: likewise, in US dollars.
        now: the time in seconds since 1970.

    Raises:
        UsageError: a cost is given, and the price is not known.
    """
    require_price(settings, max_cost)
    run = _smaller(
        _in_tokens(max_tokens, "--max-tokens"), _in_dollars(settings, max_cost, "--max-cost")
    )
    day = _smaller(
        _in_tokens(settings.source_tokens_per_day, "source_tokens_per_day"),
        _in_dollars(settings, settings.source_cost_per_day, "source_cost_per_day"),
    )
    if run is None and day is None:
        return None
    return Budgets(counter_of(settings), run, day, now)


def _in_tokens(tokens: int | None, setting: str) -> Budget | None:
    return None if tokens is None else Budget(tokens, f"{setting} {tokens}")


def _in_dollars(settings: Settings, usd: float | None, setting: str) -> Budget | None:
    price = price_of(settings)
    if usd is None or price is None:
        return None
    tokens = tokens_for(usd, price)
    if math.isinf(tokens):
        return None
    return Budget(int(tokens), f"{setting} {usd:g}, {int(tokens)} tokens")


def _smaller(one: Budget | None, other: Budget | None) -> Budget | None:
    given = [budget for budget in (one, other) if budget is not None]
    return min(given, key=lambda budget: budget.tokens, default=None)
