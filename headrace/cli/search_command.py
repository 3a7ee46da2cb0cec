"""``headrace search``: find chunks near a text."""

import asyncio
import textwrap
from typing import TYPE_CHECKING

import click

from contract.settings import Settings, load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import give, give_json, say
from headrace.session import open_session

if TYPE_CHECKING:
    from headrace.search import Hit

SNIPPET_CHARACTERS = 200


@click.command("search")
@click.argument("text")
@click.option("-k", "limit", type=click.IntRange(1, 1000), default=5, help="Number of hits.")
@click.option("--collection", metavar="NAME", help="Collection in Milvus.")
@click.option("--filter", "expression", default="", metavar="EXPR", help="Filter of Milvus.")
@click.option("--json", "as_json", is_flag=True, help="Print the hits as JSON.")
def search_command(
    *, text: str, limit: int, collection: str | None, expression: str, as_json: bool
) -> int:
    """Find the chunks nearest to TEXT: score, source, headings and a snippet."""
    settings = load_settings(collection=collection)
    with open_session(settings, say) as session:
        hits = asyncio.run(_search(session.settings, text, limit, expression))
    if as_json:
        give_json([hit.as_dict() for hit in hits])
    elif hits:
        give("\n\n".join(_text_of(number, hit) for number, hit in enumerate(hits, 1)))
    else:
        say("nothing found")
    return ExitCode.DONE


async def _search(settings: Settings, text: str, limit: int, expression: str) -> "list[Hit]":
    # Imported once they are needed: it takes seconds, for which --help need not wait.
    from headrace.search import search  # noqa: PLC0415
    from worker.embedding.build import make_embedder  # noqa: PLC0415

    embedder = make_embedder(settings)
    try:
        return await search(
            settings, embedder, settings.collection, text, limit=limit, expression=expression
        )
    finally:
        await embedder.aclose()


def _text_of(number: int, hit: "Hit") -> str:
    where = f"{hit.source}/{hit.path}"
    headings = " > ".join(hit.headings)
    snippet = textwrap.shorten(hit.text, SNIPPET_CHARACTERS, placeholder=" ...")
    lines = [f"{number}. {hit.score:.3f}  {where}", f"   {headings}", f"   {snippet}"]
    return "\n".join(line for line in lines if line.strip())
