"""A folder from which an image is built that serves what is released: the marked versions, the signed snapshot, the public key, and
what a cluster is told of it. No private key, no journal, no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import yaml

from modelmark import __version__

PORT: Final = 8080
GRPC_PORT: Final = 9090
#: What decides answers beside the files: as it was when the version was registered.
_DECIDES: Final = ("onnxruntime", "numpy", "scikit-learn", "xgboost-cpu", "lightgbm", "catboost")
_DOCKERFILE: Final = f"""\
FROM python:3.11-slim
RUN useradd --create-home --uid 10001 modelmark
COPY requirements.txt wheels /build/
RUN pip install --no-cache-dir --find-links /build -r /build/requirements.txt
COPY --chown=10001:10001 workspace /workspace
USER 10001
WORKDIR /home/modelmark
ENV MODELMARK_WORKSPACE=/workspace MODELMARK_HOST=0.0.0.0
VOLUME /workspace/journal
EXPOSE {PORT} {GRPC_PORT}
HEALTHCHECK --interval=5s --timeout=2s CMD ["python", "-c", \\
  "import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/v2/health/ready')"]
CMD ["modelmark", "serve", "--port", "{PORT}", "--grpc-port", "{GRPC_PORT}", "--behind-proxy"]
"""


def files(name: str, models: Sequence[str], locks: Sequence[str]) -> Mapping[str, bytes]:
    """Everything but the workspace. name: of the image. locks: the versions' own lists of packages."""
    return {
        "Dockerfile": _DOCKERFILE.encode(),
        "requirements.txt": _requirements(locks).encode(),
        "wheels/README.md": b"Wheels that lie here are installed before any index is asked.\n",
        "kubernetes.yaml": yaml.safe_dump_all(_kubernetes(name), sort_keys=False).encode(),
        "kserve.yaml": yaml.safe_dump(_kserve(name), sort_keys=False).encode(),
        "README.md": _about(name, models).encode(),
    }


def _requirements(locks: Sequence[str]) -> str:
    """Where two versions were registered with different ones, the newest."""
    found: dict[str, str] = {}
    for line in (line.strip() for lock in locks for line in lock.splitlines()):
        package, said, number = line.partition("==")
        if said and package in _DECIDES:
            found[package] = max(found.get(package, ""), number, key=_parts)
    return "\n".join(
        [f"modelmark[serve,grpc,data]=={__version__}", *(f"{p}=={n}" for p, n in sorted(found.items())), ""]
    )


def _parts(number: str) -> list[int]:
    return [int(part) for part in number.split(".") if part.isdigit()]


def _container(name: str) -> dict[str, object]:
    def probe(path: str) -> dict[str, object]:
        return {"httpGet": {"path": path, "port": PORT}, "periodSeconds": 5, "failureThreshold": 3}

    return {
        "name": name,
        "image": f"{name}:latest",
        "ports": [{"name": "http1", "containerPort": PORT}, {"name": "h2c", "containerPort": GRPC_PORT}],
        "readinessProbe": probe("/v2/health/ready"),
        "livenessProbe": probe("/v2/health/live"),
        "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "allowPrivilegeEscalation": False},
    }


def _kubernetes(name: str) -> list[dict[str, object]]:
    """Each replica keeps its journal on a disk of its own: it holds what that one answered."""
    labels = {"app": name}
    container = {**_container(name), "volumeMounts": [{"name": "journal", "mountPath": "/workspace/journal"}]}
    claim = {
        "metadata": {"name": "journal"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 40, "securityContext": {"fsGroup": 10001}},
    }
    ports = [{"name": "http", "port": 80, "targetPort": PORT}, {"name": "grpc", "port": GRPC_PORT}]
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
    }
    return [
        {
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "labels": labels},
            "spec": {
                "serviceName": name, "replicas": 2, "selector": {"matchLabels": labels}, "template": template,
                "volumeClaimTemplates": [claim],
            },
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels},
            "spec": {"selector": labels, "ports": ports},
        },
        {
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name},
                "minReplicas": 2, "maxReplicas": 10, "metrics": [metric],
            },
        },
    ]  # fmt: skip


def _kserve(name: str) -> dict[str, object]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": name},
        "spec": {"predictor": {"minReplicas": 1, "containers": [{**_container(name), "name": "kserve-container"}]}},
    }  # fmt: skip


def _about(name: str, models: Sequence[str]) -> str:
    return (
        f"# {name}\n\nServes {', '.join(models)}, as they were released.\n\n"
        f"    docker build -t {name} .\n    docker run -p {PORT}:{PORT} -v journal:/workspace/journal {name}\n"
        f"    kubectl apply -f kubernetes.yaml    # or kserve.yaml, where KServe is\n\n"
        "`workspace/` holds the signed snapshot, the marked versions and the public key: a byte that is changed there is noticed, "
        "and such a version does not answer. It holds no private key, so nothing can be released from it; to release, export anew "
        "and roll out. What is answered is journaled in `/workspace/journal`: keep it, and hand its segments to whoever runs the "
        "steward. `--behind-proxy` says that something in front has TLS and knows its callers; else give certificates and keys.\n"
    )
