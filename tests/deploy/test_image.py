"""The Dockerfile: linted, and consistent with the project; no engine is here to build it."""

import re
import tomllib

import pytest

from tests.deploy.tools import ROOT, judged

pytestmark = pytest.mark.manifests

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_linter_finds_nothing() -> None:
    """And it can."""
    assert judged(["hadolint", "-"], text=DOCKERFILE).said == ""
    broken = DOCKERFILE.replace(
        "FROM ${PYTHON_IMAGE} AS runtime", "FROM python AS runtime\nRUN cd /"
    )
    assert not judged(["hadolint", "-"], text=broken).is_good


def test_it_copies_what_is_there_and_nothing_is_ignored_of_it() -> None:
    """A folder that was renamed would end the build at its last step."""
    allowed = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_all_packages_are_in_it() -> None:
    """What the wheel is made of is what is copied."""
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert all(f"COPY {package} {package}" in DOCKERFILE for package in packages)


def test_it_is_nobody_and_of_this_version() -> None:
    """No root at run time; the label says what is in it."""
    assert "USER 10001:10001" in DOCKERFILE
    assert f"ARG VERSION={PROJECT['project']['version']}" in DOCKERFILE
