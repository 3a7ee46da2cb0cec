"""``headrace stdin``: bring in documents as lines of JSON."""

import asyncio
import sys
from typing import Any

import click

from contract.settings import Settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import say
from headrace.cli.progress_line import ProgressLine
from headrace.cli.stream_options import StreamOptions, with_stream_options
from headrace.session import open_session
from headrace.summary import Summary
from producers.sources.lines import LineStream


@click.command("stdin")
@click.option(
    "--source", metavar="NAME", default="stdin", show_default=True, help="Name of the source."
)
@with_stream_options
def stdin_command(*, source: str, **options: Any) -> int:
    """Bring in documents from standard input, one JSON object a line, as they come.

    {"id": "a", "text": "...", "metadata": {...}}: split and embedded. With "vector": [...] it is
    one chunk, embedded already; with "chunks": [{"text": ..., "vector": [...]}, ...] instead of
    "text" it is split as well. {"id": "a", "deleted": true} deletes it. The same id again
    replaces the document; the same document again costs nothing.
    """
    asked = StreamOptions(**options)
    settings = asked.settings()
    if sys.stdin.isatty():
        say("reading from the terminal; Ctrl-D ends")
    try:
        summary = _run(settings, source, detach=asked.detach)
    except KeyboardInterrupt:
        say("stopped; nothing is half done. To resume, run the same command on the same input")
        return ExitCode.STOPPED
    return asked.tell(summary, settings)


def _run(settings: Settings, source: str, *, detach: bool) -> Summary:
    # Imported once they are needed: that takes seconds, for which --help need not wait.
    from headrace.importing import ImportOptions  # noqa: PLC0415
    from headrace.streaming import bring  # noqa: PLC0415

    def stream(dimension: int) -> LineStream:
        return LineStream(
            source,
            sys.stdin.fileno(),
            dimension=dimension,
            max_document_bytes=settings.max_document_bytes,
            age_seconds=settings.batch_max_age_seconds,
        )

    options = ImportOptions(settings.collection, detach=detach, named_source=source != "stdin")
    with open_session(settings, say) as session, ProgressLine() as line:
        return asyncio.run(bring(session, options, stream, on_progress=line.show, say=line.say))
