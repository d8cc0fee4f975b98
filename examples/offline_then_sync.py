"""Train while the tracking server can't be reached, and deliver to another store afterwards.
Training does not wait for it; the report says what is pending, and `unitrack sync` brings it where a variable says.
"""

import os
import subprocess
import sys
import warnings

import unitrack

warnings.simplefilter("ignore", unitrack.DeliveryWarning)  # it says what is printed below
STORE = "sqlite:///mlflow.db"
os.environ |= {"UNITRACK_SINKS": "local,mlflow", "UNITRACK_MLFLOW__TRACKING_URI": "http://127.0.0.1:9"}  # no server

run = unitrack.start_run("offline", project="digits", params={"lr": 0.1})
for step in range(100):
    run.log_metrics({"loss": 1 / (step + 1)}, step=step)
report = run.finish(timeout=5)
for name, sink in report.sinks.items():
    print(f"{name}: {sink.delivered} records delivered, {sink.pending} pending")

os.environ["UNITRACK_MLFLOW__TRACKING_URI"] = STORE  # in a shell: UNITRACK_MLFLOW__TRACKING_URI=... unitrack sync
sync = [sys.executable, "-m", "unitrack", "sync", "--timeout", "60"]  # the courier of the training lets go of the sink
subprocess.run(sync, stdout=subprocess.DEVNULL, check=True)

stored = unitrack.runs(f"mlflow:{STORE}").find("offline")
print(f"in MLflow now: {stored.status}, {dict(stored.params)}, {stored.metrics['loss'].points} points of loss")
