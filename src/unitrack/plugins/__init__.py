"""The plugins of this environment: how they are found, and what they declare."""
