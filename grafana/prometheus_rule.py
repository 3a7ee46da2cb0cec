"""Writes the rules as a resource of the Prometheus Operator; tests compare what is committed."""

import sys
from pathlib import Path
from typing import Final

import yaml

ROOT: Final = Path(__file__).parents[1] / "deploy"
RULES: Final = ROOT / "prometheus" / "rules"
RESOURCE: Final = ROOT / "kustomize" / "components" / "monitoring" / "prometheusrule.yaml"


def resource() -> str:
    """Give the resource with the groups of all rule files."""
    groups = [
        group
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]
    made = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "headrace"},
        "spec": {"groups": groups},
    }
    head = (
        "# Written by grafana/prometheus_rule.py from deploy/prometheus/rules (make dashboards).\n"
    )
    return head + yaml.safe_dump(made, sort_keys=False, width=100)


if __name__ == "__main__":
    RESOURCE.write_text(resource(), encoding="utf-8")
    sys.stdout.write(f"{RESOURCE}\n")
