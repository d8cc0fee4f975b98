"""Runs in the layout of local files at a place that a team shares: a bucket, or a folder on a network."""
