"""Train in PyTorch: losses logged from the device, checkpoints that know their run, and the model at the end.
Started again after a crash, the script goes on with the run and the checkpoint that it left.
"""

from pathlib import Path

import torch

import unitrack

EPOCHS = 5
CHECKPOINT = Path("checkpoint.pt")

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
inputs = torch.randn(256, 8, device=device)
targets = inputs.sum(dim=1, keepdim=True)

model = torch.nn.Linear(8, 1).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
first = 0

with unitrack.start_run("pytorch", project="examples", params={"lr": 0.1, "epochs": EPOCHS}, resume="auto") as run:
    if CHECKPOINT.exists() and (saved := torch.load(CHECKPOINT, weights_only=True))["run"]["run_id"] == run.id:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        run.load_state_dict(saved["run"])
        first = saved["epoch"] + 1

    for epoch in range(first, EPOCHS):
        for step in range(8 * epoch, 8 * epoch + 8):
            batch, wanted = inputs[step % 8 :: 8], targets[step % 8 :: 8]
            loss = torch.nn.functional.mse_loss(model(batch), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log_metric("train/loss", loss, step=step)  # no .item(): logging does not wait for the device
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        torch.save(state | {"run": run.state_dict()}, CHECKPOINT)
    run.log_model(model, "model")

stored = unitrack.runs().find(run.id)
losses = [value for _, value, _ in stored.history("train/loss")]
print(f"{stored.status}: {len(losses)} points, the loss fell: {losses[-1] < losses[0] / 10}")
print("artifacts:", *(artifact.name for artifact in stored.artifacts))
