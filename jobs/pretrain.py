"""What `ray job submit -- python jobs/pretrain.py ...` names; the work is in `lightner.jobs.pretrain`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # the checkout, where lightner need not be installed

from lightner.jobs.pretrain import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
