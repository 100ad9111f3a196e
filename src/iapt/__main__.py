"""`python -m iapt` is the command `iapt`."""

import sys

from iapt.cli import main

if __name__ == "__main__":
    sys.exit(main())
