"""Callbacks and loggers for frameworks, one file each: `unitrack.integrations.keras`, `.xgboost` and so on.

A framework is imported only in the file named after it. `attached_run` says which run an integration logs to, and who
ends it; `frameworks` lists the integrations. docs/how-to/integrations.md has an example of each.
"""
