"""`wandb.sdk.lib`, as Lightning's logger imports it."""


class RunDisabled:
    """What W&B's disabled runs were once. A disabled run is a `Run` here."""
