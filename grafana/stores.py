"""The dashboard of Redis, Milvus and our own processes."""

from grafana.board import Board
from grafana.query import RATE, Query, per_second, quantile, quantiles

OURS = "and on (job, instance) headrace_build_info"
LAG = "headrace_event_loop_lag_seconds"


def stores() -> Board:
    """Build it."""
    board = Board(
        "headrace-stores",
        "headrace / Stores and workers",
        "Redis and Milvus as headrace meets them, how busy workers are, and whether the numbers "
        "are fresh.",
    )
    _now(board)
    _milvus(board)
    _redis(board)
    _processes(board)
    _truth(board)
    return board


def _now(board: Board) -> None:
    board.row(400, "Now")
    board.stat(
        401,
        "Redis",
        "Whether the exporter reaches it.",
        Query("min(headrace_redis_up)"),
        "bool_on_off",
        limits=(1,),
        colours=("red", "green"),
        runbook="HeadraceRedisDown",
    )
    board.stat(
        402,
        "Milvus",
        "Whether the exporter reaches it.",
        Query("min(headrace_milvus_up)"),
        "bool_on_off",
        limits=(1,),
        colours=("red", "green"),
        runbook="HeadraceMilvusDown",
    )
    board.stat(
        403,
        "Redis memory",
        "Share of maxmemory; 0 when none is set, and then only the machine's memory bounds it.",
        Query("headrace:redis_memory:ratio"),
        "percentunit",
        limits=(0.7, 0.85),
        runbook="HeadraceRedisMemoryHigh",
    )
    board.stat(
        404,
        "Redis on disk",
        "Whether its last write to disk went well.",
        Query("min(headrace_redis_persistence_ok)"),
        "bool_yes_no",
        limits=(1,),
        colours=("red", "green"),
        runbook="HeadraceRedisPersistenceFailing",
    )
    board.stat(
        405,
        "Places in use",
        "Batches in hand, of those that all workers may have at once.",
        Query(
            'sum(headrace_worker_slots{state="busy"}) '
            '/ clamp_min(sum(headrace_worker_slots{state="total"}), 1)'
        ),
        "percentunit",
        limits=(0.8, 0.95),
        runbook="HeadraceWorkersSaturated",
    )
    board.stat(
        406,
        "Loop lateness",
        "99 %, of the slowest process: how late its event loop comes to what is due.",
        Query(f"max({quantile(0.99, LAG, by='instance', window='[5m]')})"),
        "s",
        limits=(0.1, 0.25),
        runbook="HeadraceEventLoopLag",
    )
    board.stat(
        407,
        "Numbers' age",
        "Of the oldest of what it reads again and again, the slow comparison with Milvus apart.",
        Query('max(time() - headrace_exporter_last_success_timestamp_seconds{what!="drift"})'),
        "s",
        limits=(60, 300),
        runbook="HeadraceExporterStale",
    )
    board.stat(
        408,
        "Rows differ",
        "Of the last sample, the share of documents whose rows in Milvus are missing, stale or too "
        "many.",
        Query("max(headrace_drift_documents)"),
        "percentunit",
        limits=(0.0001,),
        colours=("green", "red"),
        runbook="HeadraceIndexDrifting",
    )


def _milvus(board: Board) -> None:
    board.row(410, "Milvus")
    board.graph(
        411,
        "Requests to Milvus, 95 %",
        "By what they do, as workers see it.",
        quantiles("headrace_store_request_duration_seconds", by="op"),
        "s",
        runbook="HeadraceVectorWriteSlow",
    )
    board.graph(
        412,
        "Requests to Milvus",
        "A second.",
        Query(per_second("headrace_store_request_duration_seconds_count", by="op"), "{{op}}"),
        "reqps",
    )
    board.graph(
        413,
        "Requests at once",
        "Under way, and as many as workers have found that Milvus bears.",
        [
            Query('sum(headrace_requests_in_flight{server="milvus"})', "under way"),
            Query('sum(headrace_request_limit{server="milvus"})', "limit"),
        ],
        "short",
    )
    board.graph(
        414,
        "Rows",
        "As Milvus counts them, by collection; deleted rows may be in it until they are cleared.",
        Query("max by (collection) (headrace_milvus_rows)", "{{collection}}"),
        "short",
    )
    board.graph(
        415,
        "Text written",
        "UTF-8, a second.",
        Query(per_second("headrace_text_bytes_total"), "text"),
        "Bps",
    )
    board.graph(
        416,
        "Who waits for a server",
        "Workers that claim nothing because a server is away, and open breakers.",
        [
            Query("sum by (dependency) (headrace_workers_waiting)", "waiting for {{dependency}}"),
            Query("sum by (dependency) (headrace_breaker_open)", "breakers of {{dependency}}"),
        ],
        "short",
        runbook="HeadraceMilvusDown",
    )


def _redis(board: Board) -> None:
    board.row(420, "Redis")
    board.graph(
        421,
        "Memory of Redis",
        "In use, of it the payload of batches that are not through, and maxmemory (0: none).",
        [
            Query("max(headrace_redis_used_memory_bytes)", "in use"),
            Query("sum(headrace_unfinished_bytes)", "payload of unfinished batches"),
            Query("max(headrace_redis_max_memory_bytes)", "maxmemory"),
        ],
        "bytes",
        runbook="HeadraceRedisMemoryHigh",
        width=12,
    )
    board.graph(
        423,
        "Clients and evictions",
        "Connections, and keys evicted an hour: any at all loses the ledger.",
        [
            Query("max(headrace_redis_connected_clients)", "clients"),
            Query("sum(increase(headrace_redis_evicted_keys_total[1h]))", "keys evicted"),
        ],
        "short",
        runbook="HeadraceRedisEvicting",
        width=12,
    )


def _processes(board: Board) -> None:
    board.row(430, "Processes")
    board.graph(
        431,
        "Places of workers",
        "In use and there are, by lane.",
        Query("sum by (lane, state) (headrace_worker_slots)", "{{lane}}, {{state}}"),
        "short",
        runbook="HeadraceWorkersSaturated",
    )
    board.graph(
        432,
        "Batches in hand",
        "By worker.",
        Query("headrace_batches_in_flight", "{{instance}}"),
        "short",
        stacked=True,
    )
    board.graph(
        433,
        "Lateness of loops, 99 %",
        "How late a process' event loop comes to what is due: above 0.25 s something blocks it, "
        "or the processor is short.",
        Query(quantile(0.99, LAG, by="instance"), "{{instance}}"),
        "s",
        limits=(0.25,),
        colours=("green", "red"),
        runbook="HeadraceEventLoopLag",
    )
    board.graph(
        436,
        "Memory of processes",
        "Resident, of each process of headrace.",
        Query(
            f"sum by (job, instance) (process_resident_memory_bytes {OURS})", "{{job}} {{instance}}"
        ),
        "bytes",
        width=12,
    )
    board.graph(
        437,
        "Processor time of processes",
        "Cores in use, of each process of headrace.",
        Query(
            f"sum by (job, instance) (rate(process_cpu_seconds_total{RATE}) {OURS})",
            "{{job}} {{instance}}",
        ),
        "short",
        width=12,
    )
    board.table(
        435,
        "Versions",
        "Processes by version: more than one line means that a rollout is under way.",
        {"processes": Query("count by (version, job) (headrace_build_info)")},
        {"processes": "short"},
        labels=("version", "job"),
        width=24,
        height=6,
    )


def _truth(board: Board) -> None:
    board.row(440, "Are the numbers true?")
    board.graph(
        442,
        "Documents compared with Milvus, an hour",
        "Samples of the ledger, and those that differ: missing_rows can't be found, stale_rows and "
        "extra_rows should not be.",
        [
            Query("sum(increase(headrace_drift_documents_checked_total[1h]))", "compared"),
            Query("sum by (kind) (increase(headrace_drift_documents_total[1h]))", "{{kind}}"),
        ],
        "short",
        runbook="HeadraceIndexDrifting",
        width=12,
    )
    board.graph(
        443,
        "The exporter's readings",
        "How long each takes.",
        Query("max by (what) (headrace_exporter_read_duration_seconds)", "{{what}}"),
        "s",
        runbook="HeadraceExporterStale",
        width=12,
    )
