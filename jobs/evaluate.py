"""What `ray job submit -- python jobs/evaluate.py ...` names; the work is in `lightner.jobs.evaluate`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # the checkout, where lightner need not be installed

from lightner.jobs.evaluate import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
