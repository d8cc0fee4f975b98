"""Backends that can only be read, each shaped like a plugin and declared by an entry point of its own."""
