"""Lightning: hyperparameters, metrics, the best checkpoint and an image, all in one run with the test."""

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from unitrack.integrations.lightning import UnitrackLogger


class Regression(LightningModule):
    """A linear model."""

    def __init__(self, lr: float = 0.05):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(8, 1)

    def loss(self, batch):
        """Return the mean squared error."""
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def training_step(self, batch, index):
        """Log the loss of each step."""
        loss = self.loss(batch)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, index):
        """Log the loss of each epoch."""
        self.log("val/loss", self.loss(batch))

    def test_step(self, batch, index):
        """Log the final loss, and the weights as an image."""
        self.log("test/loss", self.loss(batch))
        self.logger.log_image("weights", [self.layer.weight.detach().sigmoid()])

    def configure_optimizers(self):
        """Return the optimizer."""
        return torch.optim.Adam(self.parameters(), self.hparams.lr)


X = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
data = DataLoader(TensorDataset(X, X.sum(1, keepdim=True)), batch_size=32)
logger = UnitrackLogger("regression", log_model=True)
best = ModelCheckpoint(monitor="val/loss")
trainer = Trainer(max_epochs=3, logger=logger, callbacks=[best], log_every_n_steps=1, enable_progress_bar=False)
model = Regression()
trainer.fit(model, data, data)
trainer.test(model, data)
logger.finish()
