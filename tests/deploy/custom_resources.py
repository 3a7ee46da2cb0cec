"""Checks resources of KEDA and of the Prometheus Operator; run by the Python that has their models.

The models ignore keys that they don't know, so what comes back must be what was read.
"""

import sys
from typing import Any

import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PodMonitor, PrometheusRule

MODELS: dict[str, Any] = {
    "ScaledObject": ScaledObject,
    "PodMonitor": PodMonitor,
    "PrometheusRule": PrometheusRule,
}


def lost(read: Any, back: Any, where: str = "") -> list[str]:
    """Name what did not come back."""
    if isinstance(read, dict) and isinstance(back, dict):
        return [
            problem
            for key, value in read.items()
            for problem in (
                lost(value, back[key], f"{where}.{key}") if key in back else [f"{where}.{key}"]
            )
        ]
    if isinstance(read, list) and isinstance(back, list):
        pairs = enumerate(zip(read, back, strict=True))
        return [p for n, (one, other) in pairs for p in lost(one, other, f"{where}[{n}]")]
    return []


def main() -> int:
    """Check all documents of standard input; says how many it knew."""
    problems, known = [], 0
    for document in yaml.safe_load_all(sys.stdin):
        model = MODELS.get(document["kind"])
        if model is None:
            continue
        known += 1
        name = f"{document['kind']}/{document['metadata']['name']}"
        try:
            back = model.model_validate(document).model_dump(by_alias=True, mode="json")
        except ValueError as error:
            problems.append(f"{name}: {error}")
        else:
            problems += [f"{name}: unknown {where}" for where in lost(document, back)]
    sys.stdout.write("\n".join([*problems, f"{known} checked", ""]))
    return 1 if problems or not known else 0


if __name__ == "__main__":
    sys.exit(main())
