"""Patches of the real SDKs, a file for each: what is forwarded after a call has done what it does."""
