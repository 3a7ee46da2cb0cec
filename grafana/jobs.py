"""The dashboard of imports, schedules and sources."""

from grafana.board import Board
from grafana.query import RATE, Query, quantile

HERE = 'collection=~"$collection", source=~"$source"'


def jobs() -> Board:
    """Build it."""
    board = Board(
        "headrace-jobs",
        "headrace / Jobs, schedules and sources",
        "What is under way, whether schedules keep their times, how old each source is.",
    )
    board.choice("collection", "Collection", "headrace_source_documents")
    board.choice("source", "Source", "headrace_source_documents")
    _now(board)
    _jobs(board)
    _schedules(board)
    _sources(board)
    return board


def _now(board: Board) -> None:
    board.row(300, "Now")
    board.stat(
        301,
        "Jobs under way",
        "Of all collections, paused ones as well.",
        Query("sum(headrace_active_jobs)"),
        "short",
        width=4,
    )
    board.stat(
        302,
        "Chunks to go",
        "Of batches that are published and not through.",
        Query("sum(headrace_unfinished_chunks)"),
        "short",
        width=4,
    )
    board.stat(
        303,
        "Jobs done in",
        "The longest estimate of jobs under way; 0: not known.",
        Query("max(headrace_job_eta_seconds)"),
        "s",
        empty="no job",
        width=4,
    )
    board.stat(
        304,
        "Schedules",
        "That are active; paused ones are not counted.",
        Query('sum(headrace_schedules{state="active"})'),
        "short",
        width=4,
    )
    board.stat(
        305,
        "Schedules overdue",
        "Active schedules that should have run and did not.",
        # Without schedules none is overdue.
        Query("sum(headrace_schedule_overdue) or vector(0)"),
        "short",
        limits=(1,),
        colours=("green", "red"),
        runbook="HeadraceScheduleOverdue",
        width=4,
    )
    board.stat(
        307,
        "Oldest source",
        "Time since the source that has waited longest was looked at completely.",
        Query("max(headrace_source_age_seconds)"),
        "s",
        empty="no source",
        runbook="HeadraceSourceStale",
        width=4,
    )


def _jobs(board: Board) -> None:
    board.row(310, "Jobs under way")
    board.graph(
        311,
        "Documents of jobs under way",
        "Listed so far; settled: of new, changed and deleted ones, those that are through, one way "
        "or another; failed: of these, or unreadable.",
        Query(f"sum by (state) (headrace_job_documents{{{HERE}}}) or on () vector(0)", "{{state}}"),
        "short",
    )
    board.bars(
        312,
        "Progress",
        "Settled of listed, by source; while a listing goes on, of what is listed so far.",
        Query(f"min by (source) (headrace_job_progress_ratio{{{HERE}}})", "{{source}}"),
        "percentunit",
        top=1,
        empty="no job",
    )
    board.graph(
        313,
        "Jobs by state",
        "Of all collections.",
        Query("sum by (state) (headrace_active_jobs)", "{{state}}"),
        "short",
        stacked=True,
    )


def _schedules(board: Board) -> None:
    board.row(320, "Schedules")
    board.table(
        321,
        "Schedules",
        "Since the last run that went well, until the next is due, the interval, and whether it "
        "is overdue. `headrace schedule show NAME` lists the runs.",
        {
            "since success": Query(
                "time() - max by (schedule) (headrace_schedule_last_success_timestamp_seconds > 0)"
            ),
            "until due": Query(
                "max by (schedule) (headrace_schedule_next_due_timestamp_seconds > 0) - time()"
            ),
            "interval": Query("max by (schedule) (headrace_schedule_interval_seconds)"),
            "overdue": Query("max by (schedule) (headrace_schedule_overdue)"),
        },
        {"since success": "s", "until due": "s", "interval": "s", "overdue": "bool_yes_no"},
        labels=("schedule",),
        width=16,
        runbook="HeadraceScheduleOverdue",
    )
    board.graph(
        322,
        "Runs kept in the history",
        "Of the newest hundred of each schedule, by how they ended.",
        Query("sum by (state) (headrace_schedule_runs) or on () vector(0)", "{{state}}"),
        "short",
        stacked=True,
    )
    board.graph(
        323,
        "Due times and runs, an hour",
        "What schedulers did with due times, and how runs ended in producers.",
        [
            Query(
                "sum by (outcome) (increase(headrace_scheduler_fired_total[1h]))",
                "due: {{outcome}}",
            ),
            Query("sum by (outcome) (increase(headrace_runs_total[1h]))", "run: {{outcome}}"),
        ],
        "short",
    )
    board.graph(
        325,
        "Lateness and length of runs, 95 %",
        "From the due time until a scheduler fired, and how long producers took.",
        [
            Query(quantile(0.95, "headrace_scheduler_lag_seconds", window="[15m]"), "late by"),
            Query(quantile(0.95, "headrace_run_duration_seconds", window="[15m]"), "took"),
        ],
        "s",
    )
    board.graph(
        326,
        "Places for runs",
        "Of producers: in use, and there are.",
        Query("sum by (state) (headrace_run_slots)", "{{state}}"),
        "short",
    )


def _sources(board: Board) -> None:
    board.row(330, "Sources")
    board.table(
        331,
        "Sources",
        "Documents, and the time since the source was last looked at completely.",
        {
            "age": Query(f"max by (collection, source) (headrace_source_age_seconds{{{HERE}}})"),
            "documents": Query(
                f"max by (collection, source) (headrace_source_documents{{{HERE}}})"
            ),
        },
        {"age": "s", "documents": "short"},
        labels=("collection", "source"),
        width=8,
        runbook="HeadraceSourceStale",
    )
    board.graph(
        332,
        "Documents by source",
        "Brought in, unchanged, failed and so on, a second.",
        Query(
            f"sum by (source) (rate(headrace_source_documents_total{{{HERE}}}{RATE}))", "{{source}}"
        ),
        "ops",
        stacked=True,
    )
    board.graph(
        333,
        "Failed documents by source, an hour",
        "Documents that became dead letters or could not be read.",
        Query(
            "sum by (source) (increase(headrace_source_documents_total"
            f'{{{HERE}, outcome=~"failed|unreadable"}}[1h]))',
            "{{source}}",
        ),
        "short",
        stacked=True,
        runbook="HeadraceFailureBudgetBurn",
    )
    board.graph(
        334,
        "Chunks and deletions by source",
        "A second; lines of deletions begin with “deleted”.",
        [
            Query(
                f"sum by (source) (rate(headrace_source_chunks_total{{{HERE}}}{RATE}))",
                "{{source}}",
            ),
            Query(
                f"sum by (source) (rate(headrace_source_deletes_total{{{HERE}}}{RATE}))",
                "deleted, {{source}}",
            ),
        ],
        "ops",
        width=12,
    )
    board.graph(
        335,
        "Bytes read by source",
        "Of the documents that were read, a second.",
        Query(f"sum by (source) (rate(headrace_source_bytes_total{{{HERE}}}{RATE}))", "{{source}}"),
        "Bps",
        stacked=True,
        width=12,
    )
