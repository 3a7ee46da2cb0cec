"""What a panel asks Prometheus."""

from dataclasses import dataclass

from grafana_foundation_sdk.models.prometheus import PromQueryFormat

RATE = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and how its series are called."""

    expr: str
    legend: str = "__auto"
    format: PromQueryFormat = PromQueryFormat.TIME_SERIES


def quantiles(metric: str, selector: str = "", *, by: str = "", name: str = "") -> list[Query]:
    """Ask for three quantiles of a histogram, or the 95th of each value of a label.

    Args:
        metric: the histogram's name, without ``_bucket``.
        selector: matchers, without braces.
        by: a label; one line for each of its values, instead of three for all.
        name: begins the names of the lines.
    """
    if by:
        return [Query(quantile(0.95, metric, selector, by), f"{name}{{{{{by}}}}}")]
    return [
        Query(quantile(share, metric, selector), f"{name}{share * 100:g} %")
        for share in (0.5, 0.95, 0.99)
    ]


def quantile(
    share: float, metric: str, selector: str = "", by: str = "", window: str = RATE
) -> str:
    """Spell a quantile of a histogram over a window."""
    labels = f"le, {by}" if by else "le"
    series = f"{metric}_bucket{{{selector}}}" if selector else f"{metric}_bucket"
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({series}{window})))"


def mean(metric: str, by: str) -> str:
    """Spell the mean of a histogram's values for each value of a label."""
    return f"sum by ({by}) (rate({metric}_sum{RATE})) / sum by ({by}) (rate({metric}_count{RATE}))"


def per_second(counter: str, *, by: str = "", selector: str = "", window: str = RATE) -> str:
    """Spell how fast a counter rises, of all processes together."""
    series = f"{counter}{{{selector}}}" if selector else counter
    return f"sum{f' by ({by}) ' if by else ''}(rate({series}{window}))"
