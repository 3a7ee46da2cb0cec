"""Kustomize: what it builds is what Kubernetes, KEDA and the Prometheus Operator take."""

import re
from pathlib import Path

import pytest

from contract.settings import ENVIRONMENT_PREFIX, Settings
from grafana.prometheus_rule import RESOURCE, resource
from tests.deploy.tools import ROOT, Verdict, judged

pytestmark = pytest.mark.manifests

KUSTOMIZE = ROOT / "deploy" / "kustomize"
COMPONENTS = sorted(path.name for path in (KUSTOMIZE / "components").iterdir())
CUSTOM_KINDS = {"ScaledObject", "ExternalSecret", "PodMonitor", "PrometheusRule"}


def build(folder: Path) -> str:
    """Build an overlay; dashboards and rules lie outside of the tree of kustomizations."""
    verdict = judged(["kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", folder])
    assert verdict.is_good, verdict.said
    return verdict.said


def valid(text: str, folder: Path) -> Verdict:
    """Have the schemas of Kubernetes judge; of what they don't know they warn."""
    file = folder / "manifests.yaml"
    file.write_text(text, encoding="utf-8")
    return judged(["kubernetes-validate", "--strict", "--kubernetes-version", "1.37", file])


def custom(text: str) -> Verdict:
    """Have the models of KEDA and of the Prometheus Operator judge."""
    return judged(["python", ROOT / "tests" / "deploy" / "custom_resources.py"], text=text)


@pytest.fixture(scope="module")
def prod() -> str:
    """Build what is meant for production."""
    return build(KUSTOMIZE / "overlays" / "prod")


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_overlays_are_valid(overlay: str, tmp_path: Path) -> None:
    """By the schemas of Kubernetes, unknown keys included."""
    verdict = valid(build(KUSTOMIZE / "overlays" / overlay), tmp_path)
    assert verdict.is_good, verdict.said
    unknown = set(re.findall(r"find schema for kind (\w+)", verdict.said))
    assert unknown <= CUSTOM_KINDS


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_builds_on_the_base(component: str, tmp_path: Path) -> None:
    """Each alone: who takes one need not take the others."""
    overlay = KUSTOMIZE / "overlays" / f".tried-{component}-{tmp_path.name}"
    overlay.mkdir()
    try:
        (overlay / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
            f"resources: [../../base]\ncomponents: [../../components/{component}]\n"
        )
        verdict = valid(build(overlay), tmp_path)
    finally:
        (overlay / "kustomization.yaml").unlink()
        overlay.rmdir()
    assert verdict.is_good, verdict.said


@pytest.mark.parametrize(
    ("good", "broken"),
    [("  replicas: 2", "  replicas: two"), ("readOnlyRootFilesystem", "readonlyRootFilesystem")],
)
def test_a_broken_manifest_is_refused(prod: str, tmp_path: Path, good: str, broken: str) -> None:
    """Wrong types and unknown keys."""
    assert good in prod
    assert not valid(prod.replace(good, broken, 1), tmp_path).is_good


def test_custom_resources_are_valid(prod: str) -> None:
    """By the operators' own models, with nothing lost; and a key that is misspelt is."""
    verdict = custom(prod)
    assert verdict.is_good, verdict.said
    broken = custom(prod.replace("minReplicaCount", "minReplicas"))
    assert not broken.is_good
    assert "minReplicas" in broken.said


def test_every_setting_exists(prod: str) -> None:
    """Also those of the Secret that the operator makes."""
    names = set(re.findall(rf"\b{ENVIRONMENT_PREFIX}(\w+)", prod))
    outside = {"CONFIG", "REDIS_ADDRESS", "REDIS_PASSWORD"}  # of KEDA's trigger
    assert names - outside <= {name.upper() for name in Settings.model_fields}


def test_pods_get_the_time_to_drain(prod: str) -> None:
    """Longer than a drain and a lease: else work in hand is done twice."""
    drain = int(re.findall(r'HEADRACE_DRAIN_SECONDS: "(\d+)"', prod)[0])
    lease = int(re.findall(r'HEADRACE_LEASE_SECONDS: "(\d+)"', prod)[0])
    graces = [int(found) for found in re.findall(r"terminationGracePeriodSeconds: (\d+)", prod)]
    assert max(graces) > drain + lease


def test_rules_of_the_operator_are_the_rules() -> None:
    """`make dashboards` writes them anew."""
    assert RESOURCE.read_text() == resource()


def test_resources_for_monitoring_are_valid() -> None:
    """By the operator's own models."""
    text = "\n---\n".join(
        path.read_text() for path in (KUSTOMIZE / "components" / "monitoring").glob("p*.yaml")
    )
    verdict = custom(text)
    assert verdict.is_good, verdict.said
    assert not custom(text.replace("podMetricsEndpoints", "podMetricEndpoints")).is_good
