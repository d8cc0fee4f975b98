"""W&B's sweep YAML: what each key means, and what is said about a wrong one."""

import math
import random
import textwrap

import pytest

from unitrack.errors import ConfigError
from unitrack.sweeps.wandb_yaml import read_sweep_file

HEAD = "program: train.py\nmethod: random\n"


@pytest.fixture
def read(tmp_path):
    def reader(text):
        file = tmp_path / "sweep.yaml"
        file.write_text(textwrap.dedent(text))
        return read_sweep_file(file)

    return reader


def _parameter(read, text, method="random"):
    [parameter] = read(
        f"program: t.py\nmethod: {method}\nmetric: {{name: loss}}\nparameters:\n  x: {text}\n"
    ).parameters
    return parameter.distribution


def test_a_whole_file(read):
    sweep = read("""
        program: train.py
        name: demo
        project: digits
        entity: team
        description: the first sweep
        method: bayes
        run_cap: 20
        metric: {name: val/loss, goal: maximize, target: 0.99}
        early_terminate: {type: hyperband, min_iter: 3, eta: 2, strict: true}
        command: ["${env}", python3, "${program}", "${args_no_hyphens}", 3]
        parameters:
          lr: {min: 0.0001, max: 0.1}
          batch_size: {values: [16, 32, 64]}
          epochs: {value: 10}
    """)
    assert (sweep.method, sweep.name, sweep.project, sweep.run_cap) == ("bayes", "demo", "digits", 20)
    assert (sweep.metric.name, sweep.metric.mode, sweep.metric.target) == ("val/loss", "max", 0.99)
    assert sweep.command == ("${env}", "python3", "${program}", "${args_no_hyphens}", "3")
    assert sweep.early_terminate.bands[:4] == (3, 6, 12, 24)
    assert sweep.early_terminate.strict and sweep.early_terminate.eta == 2
    assert [one.name for one in sweep.parameters] == ["batch_size", "epochs", "lr"]  # sorted, as W&B gives them
    assert any("entity" in note for note in sweep.notes) and any("TPE" in note for note in sweep.notes)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("{min: 1, max: 9}", "int_uniform"),
        ("{min: 1.0, max: 9.0}", "uniform"),
        ("{min: 1, max: 9.0}", "uniform"),
        ("{min: 1e-4, max: 1e-1}", "uniform"),
        ("{values: [1, 2]}", "categorical"),
        ("{value: 3}", "constant"),
    ],
)
def test_without_a_distribution_the_other_keys_decide(read, text, family):
    assert _parameter(read, text).family == family


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("{distribution: uniform, min: -1, max: 2}", -1, 2),
        ("{distribution: int_uniform, min: -1, max: 2}", -1, 2),
        ("{distribution: q_uniform, min: 5, max: 50, q: 10}", 10, 50),
        ("{distribution: log_uniform, min: -9.21, max: -2.3}", math.exp(-9.21), math.exp(-2.3)),
        ("{distribution: log_uniform_values, min: 1e-4, max: 0.1}", 1e-4, 0.1),
        ("{distribution: q_log_uniform, min: 3.466, max: 5.545, q: 8}", 32, 256),
        ("{distribution: q_log_uniform_values, min: 32, max: 256, q: 8}", 32, 256),
        ("{distribution: inv_log_uniform, min: 2.3, max: 9.21}", math.exp(-9.21), math.exp(-2.3)),
        ("{distribution: inv_log_uniform_values, min: 1e-4, max: 0.1}", 1e-4, 0.1),
    ],
)
def test_seeded_draws_fill_the_declared_range_and_stay_in_it(read, text, low, high):
    distribution, source = _parameter(read, text), random.Random(3)
    drawn = [distribution.value_at(source.random()) for _ in range(1_000)]
    assert low <= min(drawn) and max(drawn) <= high
    at_ends = {distribution.value_at(0.0), distribution.value_at(1.0)}
    assert min(at_ends) == pytest.approx(low) and max(at_ends) == pytest.approx(high)


@pytest.mark.parametrize("name", ["normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta"])
def test_distributions_without_bounds_have_wandbs_defaults(read, name):
    if "beta" in name:
        pytest.importorskip("scipy")
    distribution, source = _parameter(read, f"{{distribution: {name}}}"), random.Random(3)
    assert (distribution.mu, distribution.sigma, distribution.a, distribution.b) == (0.0, 1.0, 1.0, 1.0)
    drawn = [distribution.value_at(source.random()) for _ in range(200)]
    assert len(set(drawn)) > 1
    assert all(type(one) is (int if name.startswith("q_") else float) for one in drawn)


def test_probabilities_belong_to_random_and_bayes(read):
    likely = _parameter(read, "{values: [a, b], probabilities: [0.25, 0.75]}")
    assert likely.probabilities == (0.25, 0.75)
    with pytest.raises(ConfigError, match=r"sweep.yaml:5: parameters.x: has probabilities, which a grid can't"):
        _parameter(read, "{values: [a, b], probabilities: [0.25, 0.75]}", method="grid")


def test_nested_parameters_have_paths(read):
    sweep = read("""
        program: train.py
        method: grid
        parameters:
          batch_size: {values: [32, 64]}
          optimizer:
            parameters:
              lr: {values: [0.1, 0.01, 0.001]}
              nadam: {parameters: {beta: {values: [0.9, 0.95]}}}
    """)
    assert [one.path for one in sweep.parameters] == [
        ("batch_size",),
        ("optimizer", "lr"),
        ("optimizer", "nadam", "beta"),
    ]
    assert sweep.size() == 12


def test_aliases_and_merged_keys_are_taken(read):
    sweep = read("""
        program: train.py
        method: random
        parameters:
          a: &range {distribution: log_uniform_values, min: 1.0e-4, max: 0.1}
          b: *range
          c: {<<: *range, max: 0.5}
    """)
    assert [one.distribution.high for one in sweep.parameters] == [0.1, 0.1, 0.5]


BOMB = "\n".join(f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]" for before, name in ("ab", "bc", "cd", "de"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters: &a {x: *a}", "more than 20 levels"),
        ("a: &a [x,x,x,x,x,x,x,x,x,x]\n" + BOMB, "more than 10000 values"),
    ],
)
def test_a_bomb_of_aliases_is_refused(read, text, message):
    with pytest.raises(ConfigError, match=message):
        read(text)


def test_numbers_with_exponents_are_numbers(read):
    assert _parameter(read, "{values: [1e-4, 1E-3, adam]}").values == (1e-4, 1e-3, "adam")


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        ("{type: hyperband, min_iter: 3}", (3, 9, 27)),
        ("{type: hyperband, max_iter: 27, s: 2}", (3, 9)),
        ("{type: hyperband, max_iter: 10, s: 5, eta: 3}", (1, 3)),
    ],
)
def test_early_terminate_says_when_trials_are_judged(read, text, bands):
    sweep = read(f"{HEAD}metric: {{name: loss}}\nearly_terminate: {text}\nparameters: {{x: {{value: 1}}}}\n")
    assert sweep.early_terminate.bands[:3] == bands and not sweep.early_terminate.strict


def test_all_problems_come_at_once_with_their_lines_and_the_right_names(read):
    with pytest.raises(ConfigError) as caught:
        read("""\
            program: train.py
            metod: random
            metric: {name: loss, goal: minimise}
            parameters:
              lr: {min: 0.1, max: 0.0001, distribution: log_uniform_values}
              units: {value: [1, 2], probabilites: [0.5, 0.5]}
              momentum: {distribution: normall}
            """)
    lines = str(caught.value).splitlines()
    assert lines[0] == "6 problems in the sweep:"
    for number, text in [
        (2, 'metod: unknown key; did you mean "method"?'),
        (3, "metric.goal: expected minimize or maximize, got 'minimise'; did you mean \"minimize\"?"),
        (5, "parameters.lr.min: expected min below max, got 0.1 and 0.0001"),
        (6, 'parameters.units.probabilites: unknown key; did you mean "probabilities"?'),
        (7, "parameters.momentum.distribution: unknown distribution 'normall'; did you mean \"normal\"?"),
    ]:
        assert any(line.endswith(f"sweep.yaml:{number}: {text}") for line in lines), (number, text, lines)
    assert any("there is no `method`: expected grid, random or bayes" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: random\nparameters: {x: {value: 1}}", "there is no `program`, and no `command`"),
        (HEAD, "there are no `parameters`"),
        (f"{HEAD}parameters: {{}}", "`parameters` is no mapping of names, or is empty"),
        (f"{HEAD}parameters: {{x: {{}}}}", "expected value, values, or min and max, got {}"),
        (f"{HEAD}parameters: {{x: {{values: []}}}}", "expected a list that is not empty"),
        (f"{HEAD}parameters: {{x: {{min: 1}}}}", "needs `max`"),
        (f"{HEAD}parameters: {{x: {{min: a, max: 2}}}}", "expected a finite number, got 'a'"),
        (f"{HEAD}parameters: {{x: {{min: 1, max: 2, values: [1]}}}}", "does not belong to categorical"),
        (f"{HEAD}parameters: {{2x: {{value: 1}}}}", "begins with a letter"),
        (f"{HEAD}parameters: {{x: {{values: [1, 2], probabilities: [0.5, 0.6]}}}}", "expected a sum of 1, got 1.1"),
        (f"{HEAD}parameters: {{x: {{distribution: q_uniform, min: 11, max: 19, q: 10}}}}", "no multiple of 10 lies in"),
        (f"{HEAD}parameters: {{x: {{distribution: log_uniform, min: 1, max: 1000}}}}", "use log_uniform_values"),
        (f"{HEAD}parameters: {{x: {{distribution: log_uniform_values, min: 0, max: 1}}}}", "expected a number above 0"),
        (f"{HEAD}parameters: {{x: {{value: 1}}, x: {{value: 2}}}}", "appears twice"),
        ("program: t\nmethod: grid\nparameters: {x: {min: 0.0, max: 1.0}}", "which a grid can't enumerate"),
        ("program: t\nmethod: bayes\nparameters: {x: {value: 1}}", "method: needs a metric"),
        ("program: t\nmethod: custom\nparameters: {x: {value: 1}}", "W&B's own schedulers"),
        (f"{HEAD}job: a/b:v1\nparameters: {{x: {{value: 1}}}}", "it starts a job of W&B Launch"),
        (f"{HEAD}run_cap: 0\nparameters: {{x: {{value: 1}}}}", "run_cap: expected an integer >= 1, got 0"),
        (f'{HEAD}command: ["${{arg}}"]\nparameters: {{x: {{value: 1}}}}', "did you mean ${args}?"),
        (f"{HEAD}command: python train.py\nparameters: {{x: {{value: 1}}}}", "expected a list such as"),
        (f"{HEAD}early_terminate: {{type: hyperband, max_iter: 3}}\nparameters: {{x: {{value: 1}}}}", "needs `s`"),
        (f"{HEAD}metric: loss\nparameters: {{x: {{value: 1}}}}", "metric: expected a mapping with name, goal"),
        ("- a", "expected a mapping"),
        ("a: [", "not valid YAML"),
        ("", "there is no `method`"),
    ],
)
def test_each_mistake_is_one_clear_error(read, text, message):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert message in str(caught.value)


def test_exponents_that_look_like_values_are_pointed_out(read):
    sweep = read(f"{HEAD}parameters: {{lr: {{distribution: log_uniform, min: 0.0001, max: 0.1}}}}\n")
    assert sweep.notes == (
        "lr is log_uniform, whose min and max are exponents: it lies in 1 ... 1.105; for bounds that are values use "
        "log_uniform_values",
    )


def test_a_file_that_is_not_there_or_no_yaml(tmp_path):
    with pytest.raises(ConfigError, match="there is no such"):
        read_sweep_file(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="a program goes after `--`"):
        read_sweep_file(tmp_path / "train.py")
