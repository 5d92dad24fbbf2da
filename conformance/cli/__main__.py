"""``python -m conformance.cli``."""

import sys

from . import main

# Processes that are started for a part of the work import this file as well.
if __name__ == "__main__":
    sys.exit(main())
