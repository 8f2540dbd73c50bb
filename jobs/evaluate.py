"""Score a published prompt on labelled sentences: `python jobs/evaluate.py --domain NAME --test FILE`.

Prints precision, recall and F1 per type and overall (strict, entity level, equal to seqeval).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))  # a script's own folder is on its path, the package around it is not

from jobs.tune import default_registry  # noqa: E402
from lightner import artifact, backbone, metrics  # noqa: E402
from lightner.formats import read  # noqa: E402
from lightner.registry import Registry  # noqa: E402
from lightner.training import evaluate  # noqa: E402
from lightner.types import InputError  # noqa: E402


def main() -> int:
    """Fetch, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--domain", required=True, metavar="NAME")
    add("--test", required=True, metavar="FILE", help="labelled sentences: CoNLL columns or JSON Lines")
    add("--prompt", default="live", metavar="REF", help="alias or version (default: live)")
    add("--backbone", metavar="NAME", help="hub name or folder (default: the one that comes with the package)")
    add("--registry", default=default_registry(), metavar="URL")
    options = parser.parse_args()
    try:
        version, found = Registry.open(options.registry).fetch(options.domain, options.prompt)
        base = backbone.load(options.backbone)
        scores = evaluate(base, artifact.prompt_for(found, base), read(options.test))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.domain} {version} on {options.test}\n{metrics.report(scores)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
