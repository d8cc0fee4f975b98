"""Running any command as a run: the process, its output, and what it logs through `unitrack log` inside."""
