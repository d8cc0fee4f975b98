"""Workers that log runs of their own, while the parent has one."""

import multiprocessing
import subprocess
import sys

import wandb


def work(number: int) -> None:
    with wandb.init(project="workers", name=f"worker {number}") as run:
        run.log({"loss": number})


if __name__ == "__main__":
    method = sys.argv[1]
    if method == "worker":
        work(int(sys.argv[2]))
    elif method == "subprocess":
        for number in range(2):
            subprocess.run([sys.executable, __file__, "worker", str(number)], check=True)
    else:
        context = multiprocessing.get_context(method)
        workers = [context.Process(target=work, args=(number,)) for number in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
    if method != "worker":
        wandb.init(project="workers", name="parent", id="parent-run")
        wandb.log({"loss": 0.5})
