"""``headrace verify``: do sources, ledger and Milvus agree?"""

import asyncio
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from contract.settings import load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import give, give_json, say
from headrace.cli.progress_line import ProgressLine
from headrace.progress import Progress
from headrace.session import open_session
from producers.sources.files import open_source

if TYPE_CHECKING:
    from headrace.verify.differences import Difference
    from headrace.verify.verification import Verdict


@click.command("verify")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--collection", metavar="NAME", help="Collection in Milvus.")
@click.option("--repair", is_flag=True, help="Mend what differs.")
@click.option("--yes", is_flag=True, help="With --repair: delete rows that nobody owns unasked.")
@click.option("--workers", type=click.IntRange(1), help="Worker processes of a local run.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def verify_command(
    *,
    paths: tuple[str, ...],
    collection: str | None,
    repair: bool,
    yes: bool,
    workers: int | None,
    as_json: bool,
) -> int:
    """Compare sources, ledger and Milvus; exit code 1 says that something differs.

    Sources are the PATHs, else the folders that were imported, as far as they are here. To
    --repair deletes rows of versions that are over, rebuilds what the ledger has lost, and reads
    documents again whose rows are missing; what has changed in a source is an import's to bring.
    """
    # Imported once it is needed: it takes seconds, for which --help need not wait.
    from headrace.verify.verification import Callbacks, Options, verify  # noqa: PLC0415

    settings = load_settings(collection=collection, workers=workers)
    options = Options(
        collection=settings.collection,
        given=[open_source(path) for path in paths],
        repair=repair,
    )
    try:
        with open_session(settings, say) as session, ExitStack() as stack:
            line = ProgressLine()
            shown = False

            def show(progress: Progress) -> None:
                nonlocal shown
                if not shown:  # not before: a bar would write over a question
                    shown = True
                    stack.enter_context(line)
                line.show(progress)

            callbacks = Callbacks(
                say=line.say,
                on_difference=lambda item: None if as_json else give(_line(item)),
                on_progress=show,
                may_delete=lambda rows: yes or _ask(rows),
            )
            verdict = asyncio.run(verify(session, options, callbacks))
    except KeyboardInterrupt:
        say("stopped; nothing is half done. To go on, run the same command again")
        return ExitCode.STOPPED
    if as_json:
        give_json(verdict.as_dict())
    else:
        give("\n".join(_summary(verdict)))
    return ExitCode.DONE if verdict.equal else ExitCode.DEAD_LETTERS


def _ask(rows: int) -> bool:
    """Ask whether rows that nobody owns may go; without anybody there, they stay."""
    if not sys.stdin.isatty():
        say(f"{rows} rows belong to nobody, and nobody is here to be asked: they stay (or --yes)")
        return False
    return click.confirm(f"Delete {rows} rows that belong to nobody?", err=True)


def _line(item: "Difference") -> str:
    where = f"{item.source}/{item.key}" if item.key else item.subject
    rows = f" ({item.rows} rows)" if item.rows else ""
    return f"{item.kind.value:<14} {where}{rows}: {item.detail}{' [mended]' * item.mended}"


def _summary(verdict: "Verdict") -> list[str]:
    left, found = verdict.left, verdict.found
    unnamed = sum(found.subjects.values()) - len(found.named)
    lines = [f"... and {unnamed} more differences"] if unnamed > 0 else []
    lines.append(
        f"{verdict.collection}: {left.documents} documents, {left.rows_read} rows, "
        f"{left.in_progress} documents in progress"
    )
    if left.in_quarantine:
        lines.append(f"  {left.in_quarantine} superseded versions wait for their deletion")
    lines += [f"  found {number} {kind.value}" for kind, number in sorted(found.subjects.items())]
    if verdict.reread:
        lines.append(f"  {verdict.reread} documents were read again")
    lines += [f"  left  {number} {kind.value}" for kind, number in sorted(left.left.items())]
    notes = dict.fromkeys([*found.notes, *left.notes])
    lines += [f"  {note}" for note in notes]
    lines.append("  everything agrees" if verdict.equal else "  not everything agrees")
    return lines
