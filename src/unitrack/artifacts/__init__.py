"""Versions of what runs made: who made them, who used them, and how long they are kept."""
