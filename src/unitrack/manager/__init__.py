"""What is done with stored runs, whatever holds them: compare, verify, copy, export, edit and tidy up."""

from __future__ import annotations
