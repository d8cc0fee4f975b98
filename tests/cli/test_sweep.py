"""`unitrack sweep`, end to end on small programs."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import unitrack
from unitrack.errors import SweepError, UnitrackError
from unitrack.limits import PROGRAM_GRACE_S
from unitrack.sweeps.finding import find_place, load_study

pytest.importorskip("optuna")

TRAIN = """
import sys, unitrack
lr, units = float(sys.argv[1]), int(sys.argv[2])
with unitrack.start_run("mine", description="of the program") as run:
    print("training with", run.config["lr"])
    for step in range(3):
        run.log_metrics({"loss": (lr - 0.1) ** 2 + units / (step + 1)}, step=step)
"""
GRID = ("--grid", "lr=0.1,0.2", "--grid", "units=1,2", "-m", "loss")


@pytest.fixture(autouse=True)
def program(root, monkeypatch):
    """A program that trains, and delivery without couriers, which would take a second to start."""
    monkeypatch.setenv("UNITRACK_DELIVERY", "thread")
    Path("train.py").write_text(TRAIN)
    return [sys.executable, "train.py"]


@pytest.fixture
def start(program):
    """Start the command in a process of its own."""
    started = []

    def starter(*arguments):
        command = [Path(sys.executable).with_name("unitrack"), "sweep", *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield starter
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _trials(text):
    return json.loads(text)["trials"]


def _runs(name):
    return [run for run in unitrack.runs() if run.group == name and run.parent]


def test_a_grid_over_any_program(invoke, program):
    command = ("sweep", *GRID, "--name", "g", "-w", 2, "--json", "--", *program, "{lr}", "{units}")
    done = invoke(*command)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["best"]["params"] == {"lr": 0.1, "units": 1}
    assert result["best"]["value"] == pytest.approx(1 / 3)
    assert {(one["params"]["lr"], one["params"]["units"]) for one in result["trials"]} == {
        (0.1, 1), (0.1, 2), (0.2, 1), (0.2, 2)
    }  # fmt: skip
    runs = {run.id: run for run in _runs("g")}
    assert len(runs) == len(unitrack.runs(filter="tags.trial.name == 'mine'")) == 4
    for one in result["trials"]:
        run = runs[one["run_id"]]
        assert run.parent == result["parent"] and run.status == "finished"
        assert (run.params["lr"], run.params["units"]) == (one["params"]["lr"], one["params"]["units"])
        assert [point.step for point in run.history("loss")] == [0, 1, 2]
        assert (run.tags["trial.name"], run.tags["trial.description"]) == ("mine", "of the program")
        assert run.metrics["exec/exit_code"].last == 0
        assert (run.folder / "artifacts" / "output.log").read_text() == f"training with {one['params']['lr']}\n"
    again = invoke(*command)
    assert again.exit_code == 0 and _trials(again.stdout) == result["trials"]  # nothing is left to do
    assert len(_runs("g")) == 4


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_wandbs_yaml_with_a_search_and_nested_parameters(invoke, method):
    Path("show.py").write_text(
        "import json, sys, unitrack\n"
        "params = json.load(open(sys.argv[1]))\n"
        "with unitrack.start_run() as run:\n"
        "    run.log_metrics({'loss': params['optimizer']['momentum'] + params['units']})\n"
    )
    Path("my-sweep.yaml").write_text(
        f"program: show.py\nmethod: {method}\nrun_cap: 3\nmetric: {{name: loss}}\n"
        f'command: ["{sys.executable}", "${{program}}", "${{args_json_file}}"]\n'
        "parameters:\n"
        "  units: {distribution: q_log_uniform_values, min: 32, max: 256, q: 32}\n"
        "  optimizer: {parameters: {momentum: {distribution: normal, mu: 100, sigma: 1}, name: {value: sgd}}}\n"
    )
    done = invoke("sweep", "my-sweep.yaml", "--seed", 5, "-w", 2, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["name"] == "my-sweep" and len(result["trials"]) == 3
    for one in result["trials"]:
        assert one["params"]["units"] % 32 == 0 and 32 <= one["params"]["units"] <= 256
        momentum = one["params"]["optimizer"]["momentum"]
        assert 90 < momentum < 110 and one["params"]["optimizer"]["name"] == "sgd"
        assert one["value"] == one["params"]["units"] + momentum


def test_a_program_that_fails_is_recorded_and_the_sweep_goes_on(invoke):
    Path("fails.py").write_text(
        "import os, sys\nhow = sys.argv[1]\n"
        "if how == 'code': print('bad news'); sys.exit(3)\n"
        "if how == 'killed': os.kill(os.getpid(), 9)\n"
        "if how == 'silent': sys.exit(0)\n"
        "import unitrack\nunitrack.start_run().log_metrics({'loss': 1.0} if how == 'good' else {'lossy': 1.0})\n"
    )
    options = ("--grid", "how=code,killed,silent,typo,good", "-m", "loss", "-w", 2)
    done = invoke("sweep", *options, "--name", "f", "--json", "--", sys.executable, "fails.py", "{how}")
    assert done.exit_code == 0, done.output
    by_how = {one["params"]["how"]: one for one in _trials(done.stdout)}
    assert by_how["good"]["status"] == "finished"
    assert {one["status"] for how, one in by_how.items() if how != "good"} == {"failed"}
    assert by_how["code"]["error"] == "the program exited with code 3: bad news"
    assert by_how["killed"]["error"] == "the program was ended by SIGKILL"
    assert by_how["silent"]["error"] == "the program ended without having logged 'loss'"
    assert by_how["typo"]["error"] == "the program ended without having logged 'loss'; did you mean 'lossy'?"
    statuses = {run.params["how"]: run.status for run in _runs("f")}
    assert statuses == {how: "finished" if how == "good" else "failed" for how in by_how}


def test_one_that_hangs_is_ended_and_if_all_trials_fail_so_does_the_command(invoke):
    script = "test {x} = 1 && exit 7; sleep 1000"
    with pytest.raises(SweepError, match="all 2 trials of sweep 'f' failed; the first: the program exited with code 7"):
        invoke("sweep", "--grid", "x=1,2", "-w", 2, "--trial-timeout", 1, "--name", "f", "--", "sh", "-c", script)
    errors = [one["error"] for one in _trials(invoke("sweep", "show", "f", "--json").stdout)]
    assert errors[1] == "the program had not ended after 1 s, and was ended (--trial-timeout)"


def test_early_termination_ends_a_program_that_is_behind(invoke):
    Path("slow.py").write_text(
        "import sys, time, unitrack\nx = float(sys.argv[1][4:])\n"
        "with unitrack.start_run() as run:\n"
        "    for step in range(3 if x < 2 else 10_000):\n"
        "        run.log_metrics({'loss': x}, step=step)\n"
        "        time.sleep(0.02)\n"
    )
    Path("s.yaml").write_text(
        "program: slow.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [0, 1, 2]}}\n"
        "early_terminate: {type: hyperband, min_iter: 2, eta: 2}\n"
        f'command: ["{sys.executable}", "${{program}}", "${{args}}"]\n'
    )
    done = invoke("sweep", "s.yaml", "--json")
    assert done.exit_code == 0, done.output
    assert {one["params"]["x"]: one["status"] for one in _trials(done.stdout)} == {
        0: "finished", 1: "finished", 2: "pruned"
    }  # fmt: skip
    assert {run.params["x"]: run.status for run in _runs("s")} == {0: "finished", 1: "finished", 2: "pruned"}


def test_others_are_compared_with_a_program_that_ends_at_once(invoke):
    """Before its values could be read: they are in the study all the same."""
    Path("quick.py").write_text(
        "import sys, unitrack\nwith unitrack.start_run() as run:\n"
        "    for step in range(3):\n        run.log_metrics({'loss': float(step)}, step=step)\n"
    )
    Path("s.yaml").write_text(
        "program: quick.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [0]}}\n"
        "early_terminate: {type: hyperband, min_iter: 2}\n"
        f'command: ["{sys.executable}", "${{program}}"]\n'
    )
    assert invoke("sweep", "s.yaml").exit_code == 0
    [trial] = load_study(find_place("s", None)).trials
    assert (trial.intermediate_values, trial.state.name) == ({0: 0.0, 1: 1.0, 2: 2.0}, "COMPLETE")


def test_no_trial_begins_once_one_has_reached_the_target(invoke, program):
    Path("s.yaml").write_text(
        "method: grid\nprogram: train.py\nmetric: {name: loss, target: 0.4}\n"
        f'command: ["{sys.executable}", "${{program}}", "${{args_no_hyphens}}"]\n'
        "parameters: {lr: {values: [0.3, 0.1, 0.2]}}\n"
    )
    Path("train.py").write_text(
        "import sys, unitrack\nwith unitrack.start_run() as run:\n"
        "    run.log_metrics({'loss': float(sys.argv[1].removeprefix('lr='))})\n"
    )
    done = invoke("sweep", "s.yaml", "--json")
    assert [one["params"] for one in _trials(done.stdout)] == [{"lr": 0.3}]


def test_without_a_metric_the_trials_are_just_run(invoke):
    done = invoke("sweep", "--grid", "x=1,2", "--name", "plain", "--", "sh", "-c", "echo {x}")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["trial", "status", "x", "took", "run"]
    assert [line.split()[:3] for line in lines[1:]] == [["0", "finished", "1"], ["1", "finished", "2"]]


def test_two_agents_share_the_trials_each_of_which_runs_once(start, invoke, program):
    Path("train.py").write_text(TRAIN.replace("for step", "import time; time.sleep(0.3)\n    for step"))
    other = start("--grid", "lr=1,2,3,4", "-m", "loss", "--name", "shared", "--json", "--", *program, "{lr}", 1)
    _wait_for(lambda: list(Path("experiments").glob("shared-0")))  # it has begun the first trial
    joined = invoke("sweep", "join", "shared")
    _out, error = other.communicate(timeout=120)
    assert (other.returncode, joined.exit_code) == (0, 0), error
    runs = _runs("shared")
    assert sorted(run.params["lr"] for run in runs) == [1, 2, 3, 4]
    assert all(len(run.history("loss")) == 3 for run in runs)
    assert joined.stderr.count(" finished, loss ") + error.count(" finished, loss ") == 4
    assert joined.stderr.count(" finished, loss ") >= 1 and error.count(" finished, loss ") >= 1


def test_what_a_killed_agent_had_begun_is_taken_up_by_another(start, invoke, root):
    Path("train.py").write_text(
        "import os, sys, time, unitrack\n"
        "with unitrack.start_run() as run:\n"
        "    open(f'began-{sys.argv[1]}-{os.getpid()}', 'w').close()\n"
        "    while sys.argv[1] == '2' and not os.path.exists('go'): time.sleep(0.05)\n"
        "    run.log_metrics({'loss': float(sys.argv[1])})\n"
    )
    first = start("--grid", "x=1,2,3", "-m", "loss", "--name", "k", "--", sys.executable, "train.py", "{x}")
    _wait_for(lambda: list(root.glob("began-2-*")))
    first.kill()
    [began] = root.glob("began-2-*")
    _wait_for(lambda: not _is_alive(int(began.name.split("-")[2])))  # the program ends with its agent
    Path("go").touch()
    trials = _trials(invoke("sweep", "join", "k", "--json").stdout)
    finished = [one["params"]["x"] for one in trials if one["status"] == "finished"]
    assert sorted(finished) == [1, 2, 3]
    assert len(list(root.glob("began-1-*"))) == len(list(root.glob("began-3-*"))) == 1


def test_ctrl_c_ends_the_trials_and_the_same_command_goes_on(start, invoke, root):
    Path("train.py").write_text(
        "import os, sys, time, unitrack\n"
        "with unitrack.start_run() as run:\n"
        "    open(f'began-{sys.argv[1]}-{os.getpid()}', 'w').close()\n"
        "    while sys.argv[1] == '2' and not os.path.exists('go'): time.sleep(0.05)\n"
        "    run.log_metrics({'loss': float(sys.argv[1])})\n"
    )
    command = ("--grid", "x=1,2,3", "-m", "loss", "--name", "c", "--json", "--", sys.executable, "train.py", "{x}")
    first = start(*command)
    _wait_for(lambda: list(root.glob("began-2-*")))
    first.send_signal(signal.SIGINT)
    _, error = first.communicate(timeout=60)
    assert first.returncode == 130 and "`unitrack sweep join c` goes on" in error
    assert {run.params["x"]: run.status for run in _runs("c")} == {1: "finished", 2: "killed"}
    Path("go").touch()
    trials = _trials(invoke("sweep", *command).stdout)
    assert sorted(one["params"]["x"] for one in trials if one["status"] == "finished") == [1, 2, 3]
    assert len(list(root.glob("began-1-*"))) == 1


def test_a_second_ctrl_c_does_not_wait_for_programs_that_ignore_the_first(start, root):
    Path("deaf.sh").write_text("trap '' TERM\ntouch began\nwhile :; do sleep 0.1; done\n")
    process = start("--grid", "x=1", "--name", "deaf", "--", "sh", "deaf.sh")
    _wait_for(Path("began").exists)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130 and time.monotonic() - begun < PROGRAM_GRACE_S - 5


def test_tasks_of_a_slurm_step_are_agents_not_ranks_and_programs_in_any_language_log(invoke, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    script = f"{Path(sys.executable).with_name('unitrack')} log loss={{x}} --step 7; echo rank $SLURM_PROCID"
    done = invoke("sweep", "--grid", "x=3", "-m", "loss", "--name", "slurm", "--json", "--", "sh", "-c", script)
    assert done.exit_code == 0, done.output
    [run] = _runs("slurm")
    assert [(point.step, point.value) for point in run.history("loss")] == [(7, 3.0)]
    assert (run.folder / "artifacts" / "output.log").read_text() == "rank\n"


def test_agents_with_roots_of_their_own_share_a_database(invoke, root, monkeypatch):
    storage = ("--storage", f"sqlite:///{root}/studies.db", "--json")
    sweep = ("sweep", "--grid", "x=1,2,3", "--name", "db", *storage)
    command = ("--", "sh", "-c", "echo {x}")
    assert len(_trials(invoke(*sweep, "-n", 1, *command).stdout)) == 1
    monkeypatch.setenv("UNITRACK_ROOT", "elsewhere")
    joined = invoke("sweep", "join", "db", *storage)
    assert joined.exit_code == 0 and len(_trials(joined.stdout)) == 1
    assert "another agent: `unitrack sweep join db`, with the same --storage" in joined.stderr
    more = _trials(invoke(*sweep, "-n", 2, *command).stdout)  # the number of trials may grow
    assert [(one["params"]["x"], one["status"]) for one in more] == [(1, "finished"), (2, "finished")]
    assert [one["name"] for one in json.loads(invoke("sweep", "list", *storage).stdout)] == ["db"]
    assert {run.params.get("x") for run in unitrack.runs("elsewhere")} == {2, None}


def test_sweeps_are_listed_and_shown(invoke, program):
    assert invoke("sweep", "list").stdout == "no sweeps here\n"
    invoke("sweep", "--grid", "lr=0.1,0.3", "-m", "loss", "--name", "one", "-w", 2, "--", *program, "{lr}", 1)
    listed = json.loads(invoke("sweep", "list", "--json").stdout)
    assert [(one["name"], one["trials"], one["finished"], one["best"]["params"]) for one in listed] == [
        ("one", 2, 2, {"lr": 0.1})
    ]
    shown = invoke("sweep", "show", "one").stdout.splitlines()
    assert shown[0].split() == ["trial", "status", "loss", "lr", "took", "run"]
    assert shown[1].split()[:4] == ["0", "finished", "0.333333", "0.1"]
    assert invoke("sweep", "list").stdout.splitlines()[1].split()[:2] == ["one", "grid"]


def test_a_dry_run_shows_commands_and_starts_nothing(invoke):
    done = invoke("sweep", *GRID, "--name", "g", "--dry-run", "--", "train", "--lr={lr}", "{units}")
    assert done.exit_code == 0
    assert "sweep g: 4 trials by grid, minimize loss" in done.stdout
    assert "  train --lr=0.1 1\n  train --lr=0.1 2\n  train --lr=0.2 1\n" in done.stdout
    assert not Path("experiments").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.yaml"], "there is no such configuration file"),
        (["train.py"], "a program goes after `--`"),
        (["--grid", "lr=", "--", "echo", "{lr}"], "there are no values after the equals sign"),
        (["--grid", "lr", "--", "echo", "{lr}"], "is not NAME=VALUES"),
        (["--grid", "lr=1,2", "--grid", "lr=3", "--", "echo", "{lr}"], "'lr' is given twice"),
        (["--grid", "lr=0.0..1.0", "--", "echo", "{lr}"], "a grid can't enumerate this range"),
        (
            ["--grid", "x=1..1000000000", "--", "echo", "{x}"],
            "the grid has 1,000,000,000 combinations, more than 1,000",
        ),
        (["--grid", f"x=1..{10**20}", "--", "echo", "{x}"], "the grid has 100,000,000,000,000,000,000 combinations"),
        (["--grid", "x=1..1000000000", "-n", "5", "--", "echo", "{x}"], "'x' has 1,000,000,000 values, more than"),
        (
            ["--grid", "x=1..1000", "--grid", "y=1..1000", "--grid", "z=1..1000", "--", "echo"],
            "1,000,000,000 combinations",
        ),
        (
            ["--grid", "lr=1", "--", "echo", "{lrr}"],
            "{lrr} in the command is no parameter of the sweep; did you mean {lr}?",
        ),
        (
            ["--grid", "lr=1", "--", "no-such-program-here", "{lr}"],
            "is not a program on the PATH: no trial was started",
        ),
        (["--grid", "lr=1", "--", "./train.py", "{lr}"], "is no program that may be executed"),
        (["--grid", "lr=1", "--random", "x=1", "--", "echo"], "a sweep has one method"),
        (["--bayes", "lr=0.0..1.0", "--", "echo", "{lr}"], "--bayes needs --metric"),
        (["--grid", "lr=1", "-m", "loss", "--mode", "low", "--", "echo", "{lr}"], "--mode must be min or max"),
        (["--grid", "lr=1", "--sink", "locl", "--name", "x", "--", "echo", "{lr}"], "locl"),
        (["python", "train.py"], "for a command, say what varies"),
        (["joyn", "x"], "did you mean `unitrack sweep join`?"),
        (["lst"], "did you mean `unitrack sweep list`?"),
        (["join", "nothing"], "there is no sweep 'nothing'"),
        (["show", "nothing"], "there is no sweep 'nothing'"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_started(invoke, arguments, message):
    with pytest.raises(UnitrackError) as caught:
        invoke("sweep", *arguments)
    assert message in str(caught.value)
    assert not list(Path("experiments").glob("*"))


def test_where_nothing_is_recorded_there_is_no_sweep(invoke, monkeypatch):
    monkeypatch.setenv("UNITRACK_MODE", "disabled")
    with pytest.raises(UnitrackError, match="nothing is recorded here"):
        invoke("sweep", "--grid", "x=1", "--", "sh", "-c", "echo {x}")


def test_another_sweep_of_the_same_name_is_an_error(invoke):
    invoke("sweep", "--grid", "x=1", "--name", "one", "--", "sh", "-c", "echo {x}")
    with pytest.raises(UnitrackError, match=r"^sweep 'one' is there already, and is another one"):
        invoke("sweep", "--grid", "x=2", "--name", "one", "--", "sh", "-c", "echo {x}")
    with pytest.raises(UnitrackError, match="did you mean 'one'"):
        invoke("sweep", "join", "on")


def test_the_program_of_a_sweep_must_be_where_its_agent_works(invoke, monkeypatch, root):
    Path("s.yaml").write_text(
        "method: grid\nprogram: show.sh\ncommand: [sh, '${program}']\nparameters: {x: {value: 1}}\n"
    )
    with pytest.raises(UnitrackError, match=r"there is no program 'show\.sh' in"):
        invoke("sweep", "s.yaml")
    Path("show.sh").write_text("true")
    assert invoke("sweep", "s.yaml").exit_code == 0
    (root / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    monkeypatch.setenv("UNITRACK_ROOT", str(root / "experiments"))
    with pytest.raises(UnitrackError, match=f"the sweep was begun in {root}"):
        invoke("sweep", "join", "s")


def _wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
