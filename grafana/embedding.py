"""The dashboard of the embedding endpoint, and of what it costs."""

from grafana.board import Board
from grafana.query import RATE, Query, mean, per_second, quantiles

REQUESTS = "headrace_embedding_requests_total"
BAD = 'code=~"5xx|timeout|error"'


def embedding() -> Board:
    """Build it."""
    board = Board(
        "headrace-embedding",
        "headrace / Embedding and cost",
        "How the embedding endpoint answers, how well requests are filled, what it costs.",
    )
    _now(board)
    _endpoint(board)
    _requests(board)
    _cost(board)
    return board


def _now(board: Board) -> None:
    board.row(200, "Now")
    board.stat(
        201,
        "Tokens a second",
        "Tokens embedded by all workers, mean of 5 minutes.",
        Query(per_second("headrace_embedding_tokens_total", window="[5m]")),
        "short",
    )
    board.stat(
        202,
        "Answered 429",
        "Share of requests of the last 15 minutes.",
        Query("headrace:embedding_throttled:ratio_increase15m"),
        "percentunit",
        limits=(0.05, 0.2),
        runbook="HeadraceEmbeddingRateLimited",
    )
    board.stat(
        203,
        "Failed",
        "Share of requests of the last 15 minutes: 5xx, time-outs and errors of the connection.",
        Query("headrace:embedding_failed:ratio_increase15m"),
        "percentunit",
        limits=(0.01, 0.05),
        runbook="HeadraceEmbeddingErrors",
    )
    board.stat(
        204,
        "Cost today",
        "US dollars of all sources since midnight (UTC); 0 where no price is known "
        "(embedding_price).",
        Query("sum(headrace_cost_today_dollars)"),
        "currencyUSD",
        runbook="HeadraceSpendHigh",
    )
    board.stat(
        205,
        "Tokens today",
        "Embedded for all sources since midnight (UTC).",
        Query("sum(headrace_tokens_today)"),
        "short",
    )
    board.stat(
        206,
        "Sources held",
        "Sources whose newest job stopped because a budget was reached.",
        Query("sum(headrace_held_sources)"),
        "short",
        limits=(1,),
        colours=("green", "orange"),
    )
    board.table(
        207,
        "Model",
        "Provider and model, and how many worker processes use them: more than one line means "
        "that workers differ.",
        {"workers": Query("count by (provider, model) (headrace_embedding_info)")},
        {"workers": "short"},
        labels=("provider", "model"),
        width=6,
        height=4,
    )


def _endpoint(board: Board) -> None:
    board.row(210, "Endpoint")
    board.graph(
        211,
        "Requests by code",
        "Requests to the endpoint a second. 2xx: answered; timeout and error: no answer.",
        Query(per_second(REQUESTS, by="code"), "{{code}}"),
        "reqps",
        stacked=True,
        runbook="HeadraceEmbeddingErrors",
    )
    board.graph(
        212,
        "Latency of a request",
        "From sending to the whole answer.",
        quantiles("headrace_embedding_request_duration_seconds"),
        "s",
    )
    board.graph(
        213,
        "Waiting for the rate",
        "Seconds waited a second, of all workers: for the shared budget, or because the endpoint "
        "asked to (Retry-After). At the number of requests at once, all time is waiting.",
        Query(per_second("headrace_embedding_throttle_seconds_total"), "waiting"),
        "short",
        runbook="HeadraceEmbeddingRateLimited",
    )
    board.graph(
        214,
        "Requests at once",
        "Under way, and as many as workers have found that the endpoint bears.",
        [
            Query('sum(headrace_requests_in_flight{server="embedding"})', "under way"),
            Query('sum(headrace_request_limit{server="embedding"})', "limit"),
        ],
        "short",
        width=6,
    )
    board.graph(
        215,
        "Requests a minute",
        "And the limit as set or told by the endpoint, of all workers together; 0: unknown.",
        [
            Query(f"60 * {per_second(REQUESTS)}", "requests"),
            Query('max(headrace_embedding_budget_limit{kind="requests"})', "limit"),
        ],
        "short",
        width=6,
        runbook="HeadraceEmbeddingRateLimited",
    )
    board.graph(
        217,
        "Tokens a minute",
        "And the limit as set or told by the endpoint, of all workers together; 0: unknown.",
        [
            Query(f"60 * {per_second('headrace_embedding_tokens_total')}", "tokens"),
            Query('max(headrace_embedding_budget_limit{kind="tokens"})', "limit"),
        ],
        "short",
        width=6,
        runbook="HeadraceEmbeddingRateLimited",
    )
    board.graph(
        216,
        "Failed attempts of embedding",
        "The six most frequent reasons, a second.",
        Query(
            f'topk(6, sum by (reason) (rate(headrace_errors_total{{stage="embed"}}{RATE})))',
            "{{reason}}",
        ),
        "ops",
        runbook="HeadraceEmbeddingAuthFailing",
        width=6,
    )


def _requests(board: Board) -> None:
    board.row(220, "How requests are filled")
    board.graph(
        221,
        "Fill of requests",
        "Texts or rows of a request, of those that would fill it; mean.",
        Query(mean("headrace_request_fill_ratio", "server"), "{{server}}"),
        "percentunit",
        top=1,
        width=6,
    )
    board.graph(
        222,
        "Texts or rows of a request",
        "Mean, and batches that shared one.",
        [
            Query(mean("headrace_request_items", "server"), "{{server}}"),
            Query(mean("headrace_request_batches", "server"), "batches, {{server}}"),
        ],
        "short",
        width=6,
    )
    board.graph(
        223,
        "Wait for company, 95 %",
        "Of a request's oldest part until it left; bounded by join_wait_seconds unless all "
        "requests are out.",
        quantiles("headrace_request_wait_seconds", by="server"),
        "s",
        width=6,
    )
    board.graph(
        224,
        "Embedding cache",
        "Texts found and not found a second, and tokens saved. All 0 without a cache.",
        [
            Query(per_second("headrace_embedding_cache_hits_total"), "found"),
            Query(per_second("headrace_embedding_cache_misses_total"), "not found"),
            Query(per_second("headrace_embedding_tokens_saved_total"), "tokens saved"),
        ],
        "ops",
        width=6,
    )


def _cost(board: Board) -> None:
    board.row(230, "Cost")
    board.graph(
        232,
        "Dollars an hour",
        "Spent, and saved by the cache, at the pace of the moment.",
        [
            Query(f"3600 * {per_second('headrace_embedding_cost_dollars_total')}", "spent"),
            Query(f"3600 * {per_second('headrace_embedding_cost_saved_dollars_total')}", "saved"),
        ],
        "currencyUSD",
        runbook="HeadraceSpendHigh",
    )
    board.graph(
        233,
        "Dollars for 1,000 documents",
        "Mean of an hour.",
        Query(
            "1000 * sum(increase(headrace_embedding_cost_dollars_total[1h])) "
            "/ clamp_min(sum(increase(headrace_documents_total[1h])), 1)",
            "dollars",
        ),
        "currencyUSD",
    )
    board.graph(
        234,
        "Tokens by source",
        "Ten sources that cost most, a second.",
        Query(
            f"topk(10, sum by (source) (rate(headrace_source_tokens_total{RATE})))", "{{source}}"
        ),
        "short",
        stacked=True,
    )
