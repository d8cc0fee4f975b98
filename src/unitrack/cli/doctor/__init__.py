"""The checks of `unitrack doctor`."""
