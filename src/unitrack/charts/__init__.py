"""Charts of curves, drawn with characters."""
