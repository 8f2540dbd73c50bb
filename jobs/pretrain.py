"""What `ray job submit -- python jobs/pretrain.py ...` names: `lightner pretrain`, from a checkout."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # the checkout, where lightner need not be installed

from lightner.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]], door="python jobs/pretrain.py"))
