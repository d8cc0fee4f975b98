"""What makes a run repeatable: seeds, and a record of the environment."""
