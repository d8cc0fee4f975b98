"""Integrations that are turned on by one call, `unitrack.autolog()`: one file for each framework."""
