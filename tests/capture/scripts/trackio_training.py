"""A training as trackio's guides show one."""

import trackio

trackio.init(project="demo", name="first", group="g", config={"lr": 0.1, "depth": 4}, auto_log_cpu=False, embed=False)
for epoch in range(5):
    trackio.log({"loss": 1 / (epoch + 1), "epoch": epoch})
trackio.log({"loss": 0.1, "late": 2}, step=20)
trackio.log({"after": 1.5, "note": "text"})
trackio.finish()
