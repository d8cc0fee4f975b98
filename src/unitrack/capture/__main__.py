"""`python -m unitrack.capture train.py`: run a script as Python would, captured."""

import sys

from unitrack.capture.command import run_module
from unitrack.errors import UnitrackError
from unitrack.terminal.console import visible

if __name__ == "__main__":
    try:
        run_module(sys.argv[1:])
    except (UnitrackError, OSError) as error:
        print(f"error: {visible(error)}", file=sys.stderr)
        sys.exit(2)
