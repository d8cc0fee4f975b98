"""A training as W&B's guides show one: config, steps, media, summary."""

import os
import sys

import numpy as np
import wandb

run = wandb.init(
    project="demo", name="first", group="g", job_type="train", tags=["baseline"], notes="a try",
    config={"lr": 0.1, "model": {"depth": 4}},
)  # fmt: skip
run.define_metric("val/*", step_metric="epoch")
run.define_metric("loss", summary="min")
wandb.config.update({"epochs": 5})

for epoch in range(wandb.config.epochs):
    wandb.log({"loss": 1 / (epoch + 1), "grad": {"norm": float(epoch)}})
    wandb.log({"val/acc": 0.5 + epoch / 10, "epoch": epoch}, commit=False)
run.log({"a": 1, "b": 2}, step=20)
run.log({"b": 3, "c": np.float32(0.1)}, step=20)
run.log({"late": 1}, step=3)
run.log({"d": float("nan"), "note": "text"}, step=25)

position = {"minX": 0.1, "maxX": 0.5, "minY": 0.2, "maxY": 0.6}
boxes = {"found": {"box_data": [{"position": position, "class_id": 1}], "class_labels": {1: "car"}}}
masks = {"truth": {"mask_data": np.ones((4, 4), dtype="uint8"), "class_labels": {1: "road"}}}
image = wandb.Image(np.full((4, 4, 3), 200, dtype="uint8"), caption="gray", boxes=boxes, masks=masks)
table = wandb.Table(columns=["id", "text"], data=[[1, "one"], [2, "two"]])
wandb.log({"image": image, "values": wandb.Histogram(np.arange(100)), "rows": table, "page": wandb.Html("<p>hi</p>")})
matrix = wandb.plot.confusion_matrix(y_true=[0, 1, 1], preds=[0, 1, 0], class_names=["a", "b"])
wandb.log({"matrix": matrix, "points": wandb.Object3D(np.zeros((4, 3)))})

with open("notes.txt", "w") as file:
    file.write("saved")
wandb.save("notes.txt", policy="now")
run.log_code(os.path.dirname(os.path.abspath(__file__)), include_fn=lambda path: path.endswith("wandb_training.py"))
artifact = wandb.Artifact("weights", type="model")
with artifact.new_file("weights.txt") as file:
    file.write("1 2 3")
run.log_artifact(artifact)
run.alert("done", "trained")
run.tags += ("late",)
run.name = "renamed"
run.summary["best"] = 0.75
run.summary.update({"verdict": "good"})
wandb.log({"last": 1.5}, commit=False)
run.finish(exit_code=int(sys.argv[1]) if len(sys.argv) > 1 else 0)
