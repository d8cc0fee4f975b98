"""What unitrack asks of the operating system."""
