"""PyTorch Ignite: the loss of each iteration, which stays on its device, and a metric of each epoch."""

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import global_step_from_engine
from ignite.metrics import MeanSquaredError
from torch.utils.data import DataLoader, TensorDataset

from unitrack.integrations.ignite import UnitrackLogger

X = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
data = DataLoader(TensorDataset(X, X.sum(1, keepdim=True)), batch_size=32)
model = torch.nn.Linear(8, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

trainer = create_supervised_trainer(
    model, optimizer, torch.nn.functional.mse_loss, output_transform=lambda x, y, predicted, loss: loss.detach()
)
evaluator = create_supervised_evaluator(model, {"mse": MeanSquaredError()})
trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(data))

with UnitrackLogger(name="linear", params={"lr": 0.05}) as logger:
    logger.attach_output_handler(
        trainer, Events.ITERATION_COMPLETED, tag="train", output_transform=lambda loss: {"loss": loss}
    )
    logger.attach_output_handler(
        evaluator,
        Events.COMPLETED,
        tag="val",
        metric_names="all",
        global_step_transform=global_step_from_engine(trainer),
    )
    logger.attach_opt_params_handler(trainer, Events.EPOCH_STARTED, optimizer=optimizer)
    trainer.run(data, max_epochs=3)
