"""Figures, images, sounds, tables and the like as the bytes of a file in the field's standard format.

The libraries that made them are used, never required: a missing one is an error that names the install command.
"""
