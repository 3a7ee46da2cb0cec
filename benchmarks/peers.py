"""Brings the same chunks into the same Milvus by headrace and by its peers, side by side.

``python benchmarks/peers.py --documents 150`` installs each peer into an environment of its own
(the first time), starts a Milvus, a Redis and a made-up embedding endpoint on loopback, and runs
every way in every round. It prints one table, and exits with 1 if a way failed or its rows in
Milvus are not as many as its chunks.
"""

import argparse
import json
import os
import shlex
import signal
import sys
from pathlib import Path

from benchmarks.contest.contest import Plan, compare
from benchmarks.contest.report import text_of
from benchmarks.contest.servers import LITE
from benchmarks.contest.ways import WAYS, Way, chosen
from contract.errors import HeadraceError
from contract.settings import load_settings
from tests.servers.milvus import NoServerHereError


def main() -> int:
    """Compare, report."""
    plan, as_json = _plan(sys.argv[1:])
    # A shell that starts this in the background has SIGINT ignored. Whoever ends it by SIGTERM
    # means Ctrl-C: everything that was started is ended.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        report = compare(load_settings(), plan, _say)
    except KeyboardInterrupt:
        _say("stopped; everything that was started has been ended")
        return 4
    except (HeadraceError, NoServerHereError) as error:
        _say(str(error))
        return 3
    print(json.dumps(report.as_dict(), indent=2) if as_json else text_of(report))
    return 0 if report.is_good else 1


def _plan(arguments: list[str]) -> tuple[Plan, bool]:
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/peers.py")
    parser.add_argument("--documents", type=int, default=150, help="how many")
    parser.add_argument("--corpus", type=Path, help="folder of documents; default: generated ones")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each way")
    parser.add_argument("--milvus", default=LITE, help="lite, server (the real one), or a URI")
    parser.add_argument("--latency-ms", type=float, default=100.0, help="of the endpoint")
    parser.add_argument("--dimensions", type=int, default=384, help="of a vector")
    parser.add_argument("--sample", type=int, default=100, help="chunks of the synchronous loop")
    parser.add_argument("--limit-seconds", type=float, default=300.0, help="for one run of a peer")
    parser.add_argument(
        "--only", type=_ways, default=list(WAYS), help="names of ways, by commas, beside headrace"
    )
    parser.add_argument(
        "--environment", type=Path, default=_cache(), help="folder of the peers' environments"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    if min(options.documents, options.rounds, options.dimensions, options.sample) < 1:
        parser.error("--documents, --rounds, --dimensions and --sample must be at least 1")
    if options.corpus is not None and not options.corpus.is_dir():
        parser.error(f"--corpus: no such folder: {options.corpus}")
    plan = Plan(
        ways=options.only,
        documents=options.documents,
        corpus=options.corpus,
        rounds=options.rounds,
        milvus=options.milvus,
        latency_seconds=options.latency_ms / 1000,
        dimensions=options.dimensions,
        sample=options.sample,
        limit_seconds=options.limit_seconds,
        environment=options.environment.absolute(),
        command=shlex.join(["python", "benchmarks/peers.py", *arguments]),
    )
    return plan, options.json


def _ways(names: str) -> list[Way]:
    try:
        return chosen([name.strip() for name in names.split(",")])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _cache() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "headrace" / "peers"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
