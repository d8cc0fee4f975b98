"""fastai: a linear model, with the loss and the learning rate of each batch."""

import torch
from fastai.basics import DataLoaders, Learner, TfmdDL

from unitrack.integrations.fastai import UnitrackCallback

X = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
rows = list(zip(X, X.sum(1, keepdim=True), strict=True))
data = DataLoaders(TfmdDL(rows, bs=32), TfmdDL(rows[:64], bs=32))
callback = UnitrackCallback(name="linear", log_model=True)
learn = Learner(data, torch.nn.Linear(8, 1), torch.nn.functional.mse_loss, lr=0.05, cbs=callback)
learn.fit(3)
callback.finish()
