"""The demo: a real training run, logged everywhere at once, and read back from everywhere."""
