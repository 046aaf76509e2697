"""`python -m tenon`: the command line."""

import sys

from tenon.cli import main

if __name__ == "__main__":
    sys.exit(main())
