"""The operating system: safe file access, locks, disk errors, processes and their signs of life."""
