"""Measures a nightly re-index beside a full import: requests, tokens and time.

``python benchmarks/reindex.py --documents 2000 --changed-percent 1`` writes documents of its own,
starts servers, an endpoint and a worker, imports them, changes a few, and imports again; then once
more with another chunk size, which is announced first. Printed are medians of the rounds, each
with documents and servers of its own. It exits with 1 if the second import embeds more than what
has changed, or if what was announced is not what the endpoint counted.
"""

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.servers.command import Command
from tests.servers.endpoint import fake_endpoint
from tests.servers.library import prose, write_library
from tests.servers.milvus import milvus_lite
from tests.servers.redis import redis_server

WAYS = ("full import", "re-index", "nothing changed", "other chunk size")


def main() -> int:
    """Measure, and print a table."""
    words = argparse.ArgumentParser(description=__doc__, prog="benchmarks/reindex.py")
    words.add_argument("--documents", type=int, default=2_000)
    words.add_argument("--changed-percent", type=float, default=1.0)
    words.add_argument("--characters", type=int, default=4_000, help="of a document")
    words.add_argument("--latency-ms", type=float, default=50, help="of embedding")
    words.add_argument("--rounds", type=int, default=3)
    options = words.parse_args()
    rounds = [_round(options) for _ in range(options.rounds)]
    columns = ("seconds", "requests", "tokens", "chunks", "reused")
    print(f"{'':<18}" + "".join(f"{name:>12}" for name in columns))
    for way in WAYS:
        figures = [found[way] for found in rounds]
        cells = [statistics.median(figure[name] for figure in figures) for name in columns]
        print(f"{way:<18}" + "".join(f"{cell:>12,.1f}" for cell in cells))
    return 0


def _round(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="hr-") as name, ExitStack() as stack:
        folder = Path(name)
        endpoint = stack.enter_context(fake_endpoint(latency_seconds=options.latency_ms / 1e3))
        command = Command(
            folder,
            redis_url=stack.enter_context(redis_server(folder)).url,
            milvus_uri=stack.enter_context(milvus_lite(folder / "milvus")).uri,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=384,
            embedding_api_key="no-key",
        )
        stack.enter_context(command.started("worker"))
        docs = folder / "docs"
        write_library(docs, options.documents, options.characters)

        def brought(way_command: Command) -> dict[str, float]:
            before = endpoint.stats()["requests"]
            ended = way_command.run("import", "docs", "--json", seconds=3_600).expect(0)
            (summary,) = ended.json
            requests = endpoint.stats()["requests"] - before
            return _figures(summary, ended.seconds, requests)

        found = {"full import": brought(command)}
        paths = sorted(docs.glob("**/*.md"))
        step = max(1, round(100 / options.changed_percent))
        for path in paths[::step]:
            text = path.read_text(encoding="utf-8")
            path.write_text(f"{text}\n{prose(str(path), 200)}\n", encoding="utf-8")
        found["re-index"] = brought(command)
        found["nothing changed"] = brought(command)
        found["other chunk size"] = brought(command.with_settings(chunk_size=150))
        return found


def _figures(summary: dict[str, Any], seconds: float, requests: int) -> dict[str, float]:
    return {
        "seconds": seconds,
        "requests": requests,
        **{name: summary[name] for name in ("tokens", "chunks", "reused")},
    }


if __name__ == "__main__":
    sys.exit(main())
