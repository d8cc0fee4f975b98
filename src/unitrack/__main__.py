"""`python -m unitrack`, for where the script `unitrack` is not on the path."""

from unitrack.cli import main

if __name__ == "__main__":
    main()
