"""A process that forks while a row is not complete; the child ends as a program does."""

import os
import sys

import wandb

wandb.init(project="fork", name="forked")
wandb.log({"a": 1})
wandb.log({"pending": 2}, step=5)
child = os.fork()
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
wandb.log({"b": 3}, step=5)
wandb.summary["best"] = 4
