"""A run done once more from what it recorded, and compared with the first."""
