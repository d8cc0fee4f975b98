"""The run folder: its paths, its manifest, the files of its ranks, and finding one."""
