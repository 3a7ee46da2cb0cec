"""The dashboard one looks at first."""

from grafana.board import Board
from grafana.query import Query, per_second, quantiles

FIRING = 'ALERTS{alertname=~"Headrace.*", alertname!="HeadraceWatchdog", alertstate="firing"}'
UNFINISHED = 'headrace_unfinished_batches{state!="parked"}'


def overview() -> Board:
    """Build it."""
    board = Board(
        "headrace-overview",
        "headrace / Overview",
        "The first row answers whether it is fine; below: what flows, how fresh, what fails.",
    )
    _is_it_fine(board)
    _flow(board)
    _freshness(board)
    _trouble(board)
    return board


def _is_it_fine(board: Board) -> None:
    board.row(100, "Is it fine?")
    board.stat(
        101,
        "Alerts firing",
        "Alerts of headrace that fire now; the watchdog, which always does, is not counted.",
        # None is no fault: a rule that does not fire has no series.
        Query(f"count({FIRING}) or vector(0)"),
        "short",
        limits=(1,),
        colours=("green", "red"),
    )
    board.stat(
        102,
        "Workers",
        "Worker processes that say in Redis that they live.",
        Query('sum(headrace_workers_present{kind="worker"})'),
        "short",
        limits=(1,),
        colours=("red", "green"),
        runbook="HeadraceWorkersAbsent",
    )
    board.stat(
        103,
        "Oldest batch",
        "Age of the oldest batch that is not through; 0 when all are. It rises also when all "
        "workers are dead, unlike every latency.",
        Query("max(headrace_oldest_unfinished_age_seconds)"),
        "s",
        limits=(300, 900),
        runbook="HeadraceBacklogAgeHigh",
    )
    board.stat(
        104,
        "Backlog lasts",
        "Chunks that are not through, by the pace of the last 5 minutes. Very long: nothing moves.",
        Query(
            "sum(headrace_unfinished_chunks) "
            "/ clamp_min(sum(rate(headrace_chunks_total[5m])), 0.001)"
        ),
        "s",
        limits=(3600, 86400),
        runbook="HeadraceStalled",
    )
    board.stat(
        105,
        "Found late",
        "Of live batches of the last hour, the share that was searchable later than 60 s after "
        "publication, or was not seen within the probe's patience. Objective: 1 %.",
        Query("headrace:freshness_slow:ratio_increase1h"),
        "percentunit",
        limits=(0.01, 0.144),
        runbook="HeadraceFreshnessBudgetBurn",
    )
    board.stat(
        106,
        "Documents failed",
        "Of documents that were brought in during the last hour, the share that failed. "
        "Objective: 0.5 %.",
        Query("headrace:documents_failed:ratio_increase1h"),
        "percentunit",
        limits=(0.005, 0.072),
        runbook="HeadraceFailureBudgetBurn",
    )
    board.stat(
        107,
        "Dead letters",
        "Documents that wait for somebody: `headrace dead-letters list`.",
        Query("sum(headrace_dead_letters)"),
        "short",
        limits=(1, 100),
        runbook="HeadraceDeadLettersGrowing",
    )
    board.stat(
        108,
        "Servers away",
        "Redis and Milvus as the exporter sees them, and breakers that are open in workers.",
        Query(
            "(1 - min(headrace_redis_up)) + (1 - min(headrace_milvus_up)) "
            "+ sum(max by (dependency) (headrace_breaker_open))"
        ),
        "short",
        limits=(1,),
        colours=("green", "red"),
        runbook="HeadraceMilvusDown",
    )


def _flow(board: Board) -> None:
    board.row(110, "What flows")
    board.graph(
        111,
        "Documents",
        "Documents of all sources by what became of them, a second.",
        Query(per_second("headrace_source_documents_total", by="outcome"), "{{outcome}}"),
        "ops",
        stacked=True,
    )
    board.graph(
        112,
        "Chunks",
        "Chunks written a second, and of them those whose vectors were read back, not made.",
        [
            Query(per_second("headrace_chunks_total"), "written"),
            Query(per_second("headrace_chunks_reused_total"), "with vectors read back"),
        ],
        "ops",
    )
    board.graph(
        113,
        "Unfinished batches",
        "By what they do: waiting for a worker, resting after a failure, in a worker's hands, "
        "parked because their job is paused.",
        Query("sum by (state) (headrace_unfinished_batches)", "{{state}}"),
        "short",
        stacked=True,
        runbook="HeadraceStalled",
    )
    board.graph(
        114,
        "Oldest unfinished batch",
        "Age by lane. Flat is a steady queue; a line that rises by a second a second stands still.",
        Query("max by (lane) (headrace_oldest_unfinished_age_seconds)", "{{lane}}"),
        "s",
        limits=(300, 900),
        runbook="HeadraceFallingBehind",
    )
    board.graph(
        115,
        "Batches by outcome",
        "How workers' dealings with batches ended, a second. lost: a lease ran out; given_back: "
        "tried again later; split: workers had died of it, as of those that are run alone; "
        "dropped: a copy of a message.",
        [
            Query(per_second("headrace_batches_total", by="outcome"), "{{outcome}}"),
            Query(per_second("headrace_batches_isolated_total"), "run alone or halved"),
        ],
        "ops",
    )
    board.graph(
        116,
        "Messages",
        "Messages in the queue, and those that workers hold. Batches without a message are "
        "announced again by the scheduler.",
        [
            Query("sum by (lane) (headrace_queue_messages)", "{{lane}} queued"),
            Query("sum by (lane) (headrace_queue_unacknowledged_messages)", "{{lane}} held"),
        ],
        "short",
    )


def _freshness(board: Board) -> None:
    board.row(120, "How fresh")
    board.graph(
        121,
        "Time to searchable, live",
        "From a batch's first publication until a search finds its rows; one batch a second is "
        "sampled. Silent while nothing finishes: look at the oldest batch then.",
        quantiles("headrace_time_to_searchable_seconds", 'lane="live"'),
        "s",
        limits=(60,),
        colours=("green", "orange"),
        runbook="HeadraceFreshnessBudgetBurn",
    )
    board.graph(
        122,
        "Time to commit, 95 %",
        "From first publication until the ledger has the batch, every batch, by lane. Bulk "
        "batches wait by design.",
        quantiles("headrace_time_to_commit_seconds", by="lane"),
        "s",
    )
    board.heatmap(
        123,
        "Time to commit",
        "How many batches took how long, all lanes.",
        "headrace_time_to_commit_seconds_bucket",
    )
    board.graph(
        124,
        "Wait for a worker, 95 %",
        "From a publication that could be acted on until a worker claims the batch, by lane.",
        quantiles("headrace_queue_wait_seconds", by="lane"),
        "s",
        runbook="HeadraceWorkersSaturated",
    )
    board.graph(
        125,
        "Probes",
        "Whether rows that were written could be found: unseen means not within the probe's "
        "patience.",
        Query(per_second("headrace_probes_total", by="outcome"), "{{outcome}}"),
        "ops",
        runbook="HeadraceWritesUnseen",
    )
    board.graph(
        126,
        "Stages, 95 %",
        "Time of one batch in each stage, retries included.",
        quantiles("headrace_stage_duration_seconds", by="stage"),
        "s",
    )


def _trouble(board: Board) -> None:
    board.row(130, "What fails")
    board.graph(
        131,
        "Failed attempts by reason",
        "The six most frequent; most attempts are made again.",
        Query(f"topk(6, {per_second('headrace_errors_total', by='reason')})", "{{reason}}"),
        "ops",
        stacked=True,
    )
    board.graph(
        133,
        "Dead letters by reason",
        "Documents that wait for somebody, by the six most frequent reasons.",
        Query("topk(6, sum by (reason) (headrace_dead_letters))", "{{reason}}"),
        "short",
        stacked=True,
        runbook="HeadraceDeadLettersGrowing",
    )
    board.graph(
        134,
        "Dead letters written, an hour",
        "New ones; parts of documents in workers beside them.",
        [
            Query("sum(increase(headrace_dead_letters_total[1h]))", "letters"),
            Query("sum(increase(headrace_dead_parts_total[1h]))", "parts, in workers"),
        ],
        "short",
        runbook="HeadraceDeadLettersGrowing",
    )
    board.table(
        135,
        "Alerts that fire",
        "Now. The watchdog always fires: an empty table means that no rules are loaded.",
        {"firing": Query('ALERTS{alertname=~"Headrace.*", alertstate="firing"}')},
        {"firing": "short"},
        labels=("alertname", "severity", "source", "lane", "schedule"),
        runbook="HeadraceWatchdog",
        width=24,
    )
