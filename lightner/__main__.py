"""`python -m lightner`: the `lightner` command."""

import sys

from lightner.cli import main

if __name__ == "__main__":
    sys.exit(main())
