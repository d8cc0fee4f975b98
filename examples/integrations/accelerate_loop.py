"""Accelerate: a loop whose loss is logged as it is, on whichever device it lies."""

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import unitrack.integrations.accelerate  # noqa: F401  # so that Accelerate knows the name

accelerator = Accelerator(log_with="unitrack")
accelerator.init_trackers("regression", config={"lr": 0.05, "epochs": 3}, init_kwargs={"unitrack": {"name": "linear"}})

X = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
data = DataLoader(TensorDataset(X, X.sum(1, keepdim=True)), batch_size=32)
model = torch.nn.Linear(8, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
model, optimizer, data = accelerator.prepare(model, optimizer, data)

step = 0
try:
    for _ in range(3):
        for inputs, targets in data:
            loss = torch.nn.functional.mse_loss(model(inputs), targets)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            accelerator.log({"loss": loss}, step=step)
            step += 1
finally:
    accelerator.end_training()  # as failed, if an exception is on its way
