"""`wandb.sdk`: the few names of it that frameworks import to tell a run of W&B from others."""
