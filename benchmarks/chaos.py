"""Breaks everything that can break while documents are imported, and looks what is left.

``python benchmarks/chaos.py --kills 200 --seed 7`` runs real servers and processes on loopback,
disturbs them so many times, all kinds of faults equally often, and compares Milvus and the
ledger with the documents once all is at rest. It exits with 1 on any difference, and then keeps
the folder with all logs and data.
"""

import argparse
import asyncio
import json
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rig.campaign import Plan, run
from benchmarks.rig.faults import kinds_here
from benchmarks.rig.report import as_dict, text


def main() -> int:
    """Run, report, clean up."""
    options = _options()
    # A shell that starts this in the background has SIGINT ignored. Whoever ends it by SIGTERM
    # means Ctrl-C: everything that was started is ended.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    folder = Path(tempfile.mkdtemp(prefix="headrace-chaos-"))
    again = f"python benchmarks/chaos.py --kills {options.kills} --seed {options.seed}"
    if options.only:
        again += f" --only '{','.join(options.only)}'"
    begun = time.monotonic()
    with (folder / "chaos.log").open("w", encoding="utf-8") as log:

        def say(line: str) -> None:
            clock = time.strftime("%H:%M:%S", time.gmtime())
            log.write(f"{clock} {line}\n")
            log.flush()
            print(f"{time.monotonic() - begun:7.1f} {line}", file=sys.stderr)

        say(f"{again}; logs and data: {folder}")
        plan = Plan(
            seed=options.seed,
            faults=options.kills,
            kinds=options.only or kinds_here(),
            seconds_between=options.seconds_between,
        )
        try:
            outcome = asyncio.run(run(plan, folder, say))
        except KeyboardInterrupt:
            say("stopped; everything that was started has been ended")
            return 4
    print(json.dumps(as_dict(outcome), indent=2) if options.json else text(outcome))
    if outcome.good:
        shutil.rmtree(folder)
        return 0
    print(f"logs and data are kept: {folder}\nagain: {again}", file=sys.stderr)
    return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/chaos.py")
    parser.add_argument("--kills", type=int, required=True, help="number of faults")
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, printed")
    parser.add_argument("--seconds-between", type=float, default=2.0, help="mean")
    parser.add_argument("--only", type=_kinds, help="kinds of faults, by commas")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = secrets.randbelow(10**6)
    return options


def _kinds(names: str) -> list[str]:
    kinds = [name.strip() for name in names.split(",")]
    unknown = sorted(set(kinds) - set(kinds_here()))
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no such kind here: {', '.join(unknown)}; there are: {', '.join(kinds_here())}"
        )
    return kinds


if __name__ == "__main__":
    sys.exit(main())
