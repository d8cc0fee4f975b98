"""A worker that goes on with the run that its parent has open, by its id."""

import multiprocessing

import wandb


def work() -> None:
    with wandb.init(id="shared", resume="allow") as run:
        run.log({"from worker": 1.5}, step=100)


if __name__ == "__main__":
    wandb.init(project="shared", id="shared", name="shared")
    wandb.log({"from parent": 0.5})
    worker = multiprocessing.get_context("spawn").Process(target=work)
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    wandb.log({"from parent": 0.25})
