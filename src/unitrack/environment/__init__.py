"""What it takes to run a run again: what is installed, the code, the seeds."""
