"""From the journal to the sinks: ledger (what is delivered), lane (one run x one sink), courier (the process)."""
