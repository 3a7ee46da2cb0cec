"""The real system, with load and faults, under a real Prometheus and Alertmanager."""

import contextlib
import json
import re
import signal
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.dashboards.rules import ALERTMANAGER, FOLDER
from tests.servers.command import Command, Running, until
from tests.servers.endpoint import FakeEndpoint, fake_endpoint
from tests.servers.library import prose, write_library
from tests.servers.milvus import milvus_lite
from tests.servers.prometheus import (
    Alertmanager,
    Pager,
    Prometheus,
    alertmanager_server,
    pager,
    prometheus_server,
)
from tests.servers.redis import redis_tcp_server, reserved_port

SHORTER = 60
"""Alerts of the copy wait and look back so many times shorter than those that are shipped."""
SCRAPE_SECONDS = 1
_MARKER = "REFUSE-ME"
_MILVUS_JOB = "milvus"
"""Milvus Lite has no metrics of its own."""
_SCHEDULE = """
[schedules.nightly]
path = "nightly"
every = "5s"
"""


@dataclass
class System:
    """Everything that runs."""

    folder: Path
    command: Command
    endpoint: FakeEndpoint
    workers: list[Running]
    ports: dict[str, int]
    """Of the side doors, by names of processes."""
    prometheus: Prometheus
    alertmanager: Alertmanager
    pager: Pager

    def metrics(self, process: str) -> str:
        """Fetch what a process shows."""
        url = f"http://127.0.0.1:{self.ports[process]}/metrics"
        with urllib.request.urlopen(url, timeout=10) as reply:
            body: bytes = reply.read()
        return body.decode()

    def stop_workers(self) -> None:
        """Let no worker do anything, as a machine that hangs does."""
        for worker in self.workers:
            worker.send(signal.SIGSTOP)

    def wake_workers(self) -> None:
        """Let them go on."""
        for worker in self.workers:
            worker.send(signal.SIGCONT)


def shortened_rules(source: Path, target: Path) -> None:
    """Copy rules: windows and waits of alerts shorter, recordings and thresholds as they are."""
    target.mkdir()
    for path in source.glob("*.yml"):
        rules = yaml.safe_load(path.read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    rule["expr"] = re.sub(r"\[(\w+)\]", _shorter_window, rule["expr"])
                    if "for" in rule:
                        rule["for"] = f"{_seconds(rule['for']) // SHORTER}s"
        (target / path.name).write_text(yaml.safe_dump(rules))


def prometheus_config(rules: Path, alertmanager: str, ports: dict[str, int]) -> dict[str, Any]:
    """Make of the example a configuration of this system: its jobs, addresses, and a quick one."""
    config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    every = f"{SCRAPE_SECONDS}s"
    config["global"] = {"scrape_interval": every, "evaluation_interval": every}
    config["rule_files"] = [str(rules / "*.yml")]
    (manager,) = config["alerting"]["alertmanagers"]
    manager["static_configs"] = [{"targets": [alertmanager]}]
    jobs = [job for job in config["scrape_configs"] if job["job_name"] != _MILVUS_JOB]
    for job in jobs:
        kind = job["job_name"].removeprefix("headrace-")
        targets = [f"127.0.0.1:{port}" for name, port in ports.items() if name.startswith(kind)]
        assert targets, kind
        job["static_configs"] = [{"targets": targets}]
    config["scrape_configs"] = jobs
    return config


def alertmanager_config(url: str) -> dict[str, Any]:
    """Make of the example one that calls us, without its patience; routes and inhibition stay."""
    config: dict[str, Any] = yaml.safe_load(ALERTMANAGER.read_text())
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
    return config


@contextlib.contextmanager
def running_system(folder: Path) -> Iterator[System]:
    """Start everything, bring in a first source, and keep up a load until the end of the block."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_tcp_server(folder, appendonly=True))
        milvus = stack.enter_context(milvus_lite(folder / "milvus"))
        endpoint = stack.enter_context(fake_endpoint(dimensions=32, latency_seconds=0.05))
        command = Command(
            folder,
            redis_url=redis.url,
            milvus_uri=milvus.uri,
            embedding_provider="openai",
            embedding_base_url=endpoint.url,
            embedding_dimensions=32,
            embedding_api_key="no-key",
            embedding_price=20,
            batch_max_chunks=8,
            batch_max_age_seconds=0.2,
            producer_processes=1,
            collection="handbook",
        )
        names = ("worker-1", "worker-2", "producer", "scheduler", "exporter")
        ports = {name: stack.enter_context(reserved_port()) for name in names}
        workers = [
            stack.enter_context(command.started("worker", "--metrics-port", str(ports[name])))
            for name in names[:2]
        ]
        write_library(folder / "nightly", 4, 500)
        (folder / "headrace.toml").write_text(_SCHEDULE)
        for name in ("producer", "scheduler"):
            stack.enter_context(command.started(name, "--metrics-port", str(ports[name])))
        _first_source(folder, command, endpoint)
        stack.enter_context(command.started("exporter", "--port", str(ports["exporter"])))
        _load(stack, folder, command, endpoint)
        called = stack.enter_context(pager())
        prometheus, manager = stack.enter_context(_watched(folder, ports, called))
        system = System(folder, command, endpoint, workers, ports, prometheus, manager, called)
        stack.callback(system.wake_workers)  # those that are stopped would not end
        yield system


def _first_source(folder: Path, command: Command, endpoint: FakeEndpoint) -> None:
    """Bring one in of which a document is refused."""
    write_library(folder / "handbook", 20, 1_500)
    refused = folder / "handbook" / "shelf-0" / "book-000.md"
    refused.write_text(f"# Refused\n\nHere it says {_MARKER}.\n")
    endpoint.faults(latency_seconds=0.05, refuse_marker=_MARKER)
    command.run("import", folder / "handbook").expect(1)


def _load(
    stack: contextlib.ExitStack, folder: Path, command: Command, endpoint: FakeEndpoint
) -> None:
    """Keep up folders that change, a watched one and a scheduled one, and faults at times."""
    nightly, wiki = folder / "nightly", folder / "wiki"
    write_library(wiki, 8, 1_000)
    stack.enter_context(command.started("watch", wiki))
    over = threading.Event()

    def disturb() -> None:
        number = 0
        while not over.wait(0.5):
            number += 1
            path = wiki / "shelf-0" / f"page-{number % 20:02}.md"
            path.write_text(f"# Page {number}\n\n{prose(str(number), 2_000)}\n")
            status = (429, 500, 503)[number % 3]
            if number % 4 == 0:
                endpoint.faults(
                    latency_seconds=0.05,
                    refuse_marker=_MARKER,
                    status=status,
                    status_requests=2,
                    retry_after_seconds=0.2,
                )
            if number % 10 == 0:
                write_library(nightly, 4, 500, edition=str(number))

    thread = threading.Thread(target=disturb, name="load")
    thread.start()
    stack.callback(thread.join)
    stack.callback(over.set)


@contextlib.contextmanager
def _watched(
    folder: Path, ports: dict[str, int], called: Pager
) -> Iterator[tuple[Prometheus, Alertmanager]]:
    """Run Alertmanager and Prometheus with our rules, their alerts in the shortened copy."""
    rules = folder / "rules"
    shortened_rules(FOLDER / "rules", rules)
    config = folder / "alertmanager.json"
    config.write_text(json.dumps(alertmanager_config(called.url)))
    with alertmanager_server(folder / "alertmanager", config) as manager:
        config = folder / "prometheus.json"
        config.write_text(json.dumps(prometheus_config(rules, manager.address, ports)))
        with prometheus_server(folder / "prometheus", config) as prometheus:
            until(lambda: not _unscraped(prometheus), "all targets to be scraped", 60)
            yield prometheus, manager


def _unscraped(prometheus: Prometheus) -> dict[str, str]:
    """Give the targets that were not scraped yet, or in vain, and why."""
    return {
        target["scrapeUrl"]: target["lastError"]
        for target in prometheus.targets()
        if target["health"] != "up"
    }


def _shorter_window(found: re.Match[str]) -> str:
    # At least five scrapes: a rate needs two of them, also where one is late.
    return f"[{max(_seconds(found[1]) // SHORTER, 5 * SCRAPE_SECONDS)}s]"


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]
