"""What `ray job submit -- python jobs/annotate.py ...` names; the work is in `lightner.jobs.annotate`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # the checkout, where lightner need not be installed

from lightner.jobs.annotate import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
