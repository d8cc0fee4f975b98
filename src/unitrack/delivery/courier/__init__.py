"""The process that delivers, and those who start and watch it."""
