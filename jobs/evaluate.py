"""`lightner evaluate` from a checkout, for `ray job submit -- python jobs/evaluate.py ...`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # the checkout, so that lightner need not be installed

from lightner.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]], door="python jobs/evaluate.py"))
