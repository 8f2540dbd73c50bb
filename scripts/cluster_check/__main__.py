"""`python -m scripts.cluster_check`: check every file of cluster/ and serve/config.yaml; status 1 if one is wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.cluster_check import containers, launcher, manifests, service, style
from scripts.cluster_check.findings import Report

CHECKOUT = Path(__file__).resolve().parent.parent.parent
CRDS = "LIGHTNER_KUBERAY_CRDS"


def main(given: Sequence[str] | None = None) -> int:
    """Check, print findings and skipped checks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--kuberay-crds",
        type=Path,
        default=os.environ.get(CRDS) or None,
        metavar="FOLDER",
        help=f"ray-operator/config/crd/bases of KubeRay's repository (default: {CRDS})",
    )
    options = parser.parse_args(given)
    if options.kuberay_crds and not list(options.kuberay_crds.glob("*.yaml")):
        parser.error(f"--kuberay-crds: found no *.yaml in {options.kuberay_crds}")
    report = check(CHECKOUT, crds=options.kuberay_crds)
    for finding in report.findings:
        print(f"wrong: {finding}")
    for skipped in report.skipped:
        print(f"skipped: {skipped}")
    print("cluster-check:", f"{len(report.findings)} wrong" if report.findings else "all files are well")
    return 1 if report.findings else 0


def check(checkout: Path, *, crds: Path | None) -> Report:
    """All checks of a checkout."""
    report, cluster = Report(), checkout / "cluster"
    report.add(style.check([cluster, checkout / "serve" / "config.yaml"], rules=checkout / ".yamllint.yaml"))
    for file in sorted(cluster.glob("*-gpu.yaml")):
        report.add(launcher.check(file, checkout=checkout))
    for folder in sorted(each.parent for each in (cluster / "kuberay").glob("*/kustomization.yaml")):
        report.add(manifests.check(folder, crds=crds))
    for file in sorted(cluster.glob("Dockerfile*")):
        report.add(containers.check_dockerfile(file, checkout=checkout))
    report.add(containers.check_compose(cluster / "compose.yaml", example=cluster / "compose" / "example.env"))
    for file in (checkout / "serve" / "config.yaml", cluster / "compose" / "serve.yaml"):
        report.add(service.check(file))
    return report


if __name__ == "__main__":
    sys.exit(main())
