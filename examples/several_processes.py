"""Train three seeds in three processes: a group of runs below a parent run, read back as one table.
A spawned process needs only the id of the parent; it starts a run of its own.
"""

from __future__ import annotations

import multiprocessing
import random

import unitrack


def train(parent: str, seed: int) -> None:
    """Train one seed, in a process of its own."""
    rng = random.Random(seed)
    with unitrack.start_run(f"seed-{seed}", project="seeds", parent=parent, group="seeds", params={"seed": seed}):
        for step in range(10):
            unitrack.log({"loss": 1 / (step + 1) + 0.1 * rng.random()}, step=step)


if __name__ == "__main__":  # spawned processes import this file
    spawn = multiprocessing.get_context("spawn")
    with unitrack.start_run("all-seeds", project="seeds") as parent:
        workers = [spawn.Process(target=train, args=(parent.id, seed)) for seed in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        members = [run for run in unitrack.runs() if run.group == "seeds"]
        parent.summary["best"] = min(run.summary["loss"] for run in members)

    print("run     status    points  loss")
    for run in sorted(members, key=lambda run: run.name):
        print(f"{run.name}  {run.status}  {run.metrics['loss'].points:6}  {run.summary['loss']:.4f}")
    best = unitrack.runs().find("all-seeds").summary["best"]
    print(f"best    {best:.4f}, all below one parent: {all(run.parent == parent.id for run in members)}")
