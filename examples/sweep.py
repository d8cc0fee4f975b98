"""Search for a good step size and momentum of gradient descent: 20 trials, each a run of its own, the hopeless ones
stopped early. Started again it goes on with the same sweep, and finds it complete.
"""

import unitrack
from unitrack.sweeps import choice


def train(run, lr, method, momentum=0.0, steps=30):
    """Descend on a narrow valley from (1, 1), and log the loss of each step."""
    x, y, speed_x, speed_y = 1.0, 1.0, 0.0, 0.0
    for step in range(steps):
        speed_x = momentum * speed_x - lr * 2 * x
        speed_y = momentum * speed_y - lr * 20 * y
        x, y = x + speed_x, y + speed_y
        run.log_metrics({"loss": x * x + 10 * y * y}, step=step)


result = unitrack.sweep(
    train,
    {
        "lr": (1e-3, 0.09, "log"),
        "method": choice({"plain": {}, "momentum": {"momentum": (0.1, 0.95)}}),
        "steps": 30,
    },
    n=20,
    seed=7,
    prune="median",
    name="valley",
    sinks="local",
)

print(len(result), "trials, the hopeless ones pruned:", any(one.status == "pruned" for one in result))
print("best loss below 0.01:", result.best.value < 0.01)
print("importances of:", *sorted(result.importances()))
print("its curve has", len(result.runs.find(result.best.run_id).history("loss")), "points")
