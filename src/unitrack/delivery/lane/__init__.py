"""One run x one sink: read, try, commit."""
