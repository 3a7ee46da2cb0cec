"""``docker-compose.yml``: as Compose itself reads it, and as a careful operator does."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from contract.settings import ENVIRONMENT_PREFIX, Settings
from tests.deploy.tools import ROOT, Verdict, judged

pytestmark = pytest.mark.manifests

COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
PROFILES = ("monitoring", "flower", "tools")
SECRETS = {"REDIS_PASSWORD": "r3dis", "GRAFANA_PASSWORD": "gr4fana"}


def compose(text: str, folder: Path, *more: str, filled: bool = True) -> Verdict:
    """Have Compose read a file with the example's environment."""
    file, env = folder / "compose.yml", folder / "env"
    file.write_text(text, encoding="utf-8")
    example = EXAMPLE
    for name, value in SECRETS.items() if filled else ():
        example = example.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    env.write_text(example, encoding="utf-8")
    profiles = [word for profile in PROFILES for word in ("--profile", profile)]
    paths = ["--project-directory", str(ROOT), "--file", str(file), "--env-file", str(env)]
    return judged(["docker-compose", *paths, *profiles, "config", *more])


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give all services, as Compose resolves them."""
    verdict = compose(COMPOSE, tmp_path_factory.mktemp("compose"), "--format", "json")
    assert verdict.is_good, verdict.said
    read: dict[str, Any] = json.loads(verdict.said)["services"]
    return read


@pytest.mark.parametrize(
    ("good", "broken", "said"),
    [
        ("  worker:\n", "  worker:\n    depends_on: [mill]\n", "mill"),
        ("    mem_limit: 8g", "    memory_limit: 8g", "memory_limit"),
        ("{condition: service_healthy}", "{condition: service_happy}", "service_happy|condition"),
        ("      - redis:/data", "      - mill:/data", "mill"),
    ],
)
def test_compose_refuses_a_broken_file(tmp_path: Path, good: str, broken: str, said: str) -> None:
    """The check that passes the file can fail."""
    assert good in COMPOSE
    verdict = compose(COMPOSE.replace(good, broken, 1), tmp_path, "--quiet")
    assert not verdict.is_good
    assert re.search(said, verdict.said)


def test_nothing_starts_without_passwords(tmp_path: Path) -> None:
    """The example alone has none: a default would be everyone's."""
    verdict = compose(COMPOSE, tmp_path, "--quiet", filled=False)
    assert not verdict.is_good
    assert "set it in .env" in verdict.said


def test_the_example_names_every_variable() -> None:
    """And no other."""
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE))
    named = set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))
    assert used == named


def test_every_setting_exists() -> None:
    """A setting that is misspelt would end each process at its start."""
    names = set(re.findall(rf"\b{ENVIRONMENT_PREFIX}(\w+)", COMPOSE)) - {"CONFIG", "TAG"}
    assert names <= {name.upper() for name in Settings.model_fields}


def test_images_are_pinned(services: dict[str, Any]) -> None:
    """The same file starts the same programs tomorrow."""
    for name, service in services.items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), name


def test_nothing_listens_beyond_this_machine(services: dict[str, Any]) -> None:
    """Whoever wants that puts something with TLS and accounts before it."""
    for name, service in services.items():
        for port in service.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1", name


def test_processes_may_do_little(services: dict[str, Any]) -> None:
    """No root, no writing beside volumes, no capabilities, bounded memory and logs."""
    for name, service in services.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) > 0, name
        assert service["logging"]["options"]["max-size"], name
        if name == "milvus":  # its image runs as root, and writes beside its programs
            continue
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert not service["user"].startswith("0"), name


def test_what_runs_is_looked_after(services: dict[str, Any]) -> None:
    """Started again, told from dead, and begun once what it needs is there."""
    for name, service in services.items():
        if name == "import":
            assert service["restart"] == "no"
            continue
        assert service["restart"] == "unless-stopped", name
        assert "healthcheck" in service or name == "flower", name
        if service["image"].startswith("headrace"):
            needs = {need: how["condition"] for need, how in service["depends_on"].items()}
            assert needs == {"redis": "service_healthy", "milvus": "service_healthy"}, name
    for name in ("worker", "producer"):
        default = Settings.model_fields["drain_seconds"].default
        grace = services[name]["stop_grace_period"]
        assert int(grace.rstrip("s")) > default, name


def test_mounted_files_are_there(services: dict[str, Any]) -> None:
    """Docker makes a folder of a file that is missing, and the container fails late."""
    for name, service in services.items():
        for volume in service.get("volumes", ()):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), (name, volume["source"])
