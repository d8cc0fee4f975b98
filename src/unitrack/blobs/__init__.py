"""Files by their content, on a disk or in a bucket."""
