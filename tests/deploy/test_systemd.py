"""The units of systemd, by systemd itself."""

import re
from pathlib import Path

import pytest

from contract.settings import Settings
from tests.deploy.tools import ROOT, Verdict, judged

pytestmark = pytest.mark.manifests

UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))


def verify(folder: Path, change: tuple[str, str] = ("", "")) -> Verdict:
    """Have systemd read all units, with a program that is here; it prints faults and exits 0."""
    for path in (*UNITS.glob("*.service"), *UNITS.glob("*.target")):
        text = path.read_text().replace("/opt/headrace/bin/headrace", "/bin/true")
        name = path.name.replace("@.", "@1.")
        (folder / name).write_text(text.replace(*change) if change[0] else text)
    return judged(["systemd-analyze", "verify", *sorted(folder.iterdir())])


def test_systemd_finds_nothing(tmp_path: Path) -> None:
    """Not a word."""
    assert verify(tmp_path).said == ""


def test_a_broken_unit_is_told(tmp_path: Path) -> None:
    """The check can fail."""
    assert "RestartSecs" in verify(tmp_path, ("RestartSec=", "RestartSecs=")).said


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_well_locked_in(service: str, tmp_path: Path) -> None:
    """By systemd's own measure, of which 10 is an open door."""
    copy = tmp_path / service.replace("@.", "@1.")
    copy.write_text((UNITS / service).read_text())
    verdict = judged(["systemd-analyze", "security", "--offline=yes", copy])
    exposure = re.search(r"Overall exposure level.*: ([\d.]+)", verdict.said)
    assert exposure is not None, verdict.said
    assert float(exposure[1]) < 2.5


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_exists_and_there_is_time_to_drain(service: str) -> None:
    """A unit is started anew for ever, but not for a setting that is misspelt."""
    text = (UNITS / service).read_text() + (UNITS / "headrace.env").read_text()
    names = {
        name.removesuffix("_FILE")
        for name in re.findall(r"^(?:Environment=)?HEADRACE_(\w+)=", text, re.MULTILINE)
    }
    assert names <= {name.upper() for name in Settings.model_fields}
    assert "RestartPreventExitStatus=2" in text
    if "worker" in service or "producer" in service:
        seconds = int(re.findall(r"TimeoutStopSec=(\d+)", text)[0])
        assert seconds > Settings.model_fields["drain_seconds"].default
