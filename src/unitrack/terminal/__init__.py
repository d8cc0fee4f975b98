"""What is shown to people: on a terminal, and in a notebook."""
