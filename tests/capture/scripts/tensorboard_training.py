"""A training as TensorBoard's guides show one; the argument says whose writer."""

import sys

import numpy as np

if sys.argv[1] == "torch":
    from torch.utils.tensorboard import SummaryWriter
else:
    from tensorboardX import SummaryWriter

writer = SummaryWriter("runs/first")
random = np.random.default_rng(0)
for step in range(5):
    writer.add_scalar("loss/train", 1 / (step + 1), step)
    writer.add_scalar("loss/test", np.float32(step / 3), global_step=step * 10)
    writer.add_scalars("rates", {"a": step, "b": step / 2}, step)
writer.add_scalar("late", 1.5, 3)
writer.add_scalar("late", 2.5, 1)
writer.add_scalar("once", 0.25)
writer.add_histogram("weights", random.normal(size=100), 4)
writer.add_image("image", random.random((3, 8, 9)), 2)
writer.add_image("gray", random.integers(0, 255, (8, 9), dtype=np.uint8), 2, dataformats="HW")
writer.add_images("batch", random.random((2, 3, 8, 9)), 1)
if sys.argv[1] == "torch":  # tensorboardX needs another package for it
    writer.add_audio("sound", random.uniform(-1, 1, (1, 400)), 1, sample_rate=8000)
writer.add_text("notes", "a *text*", 3)
writer.add_pr_curve("curve", random.integers(0, 2, 20), random.random(20), 0)
if len(sys.argv) > 2:
    import matplotlib.pyplot as plt

    figure = plt.figure()
    plt.plot([1, 2, 3])
    writer.add_figure("figure", figure, 1)
writer.add_hparams({"lr": 0.1, "kind": "sgd"}, {"hparam/best": 0.75})
writer.close()
with SummaryWriter("runs/second") as other:
    other.add_scalar("loss/train", 5.0, 7)
