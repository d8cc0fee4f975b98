"""Names, params, configuration and journals made to do harm: refused with our errors, or taken as data."""

from __future__ import annotations

import contextlib
import json
import os
import random
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner
from unitrack_tests.faults import rounds
from unitrack_tests.hostile import Stranger, counted, now

import unitrack
from unitrack.cli import app
from unitrack.config import resolve
from unitrack.errors import ConfigError, UnitrackError
from unitrack.journal import JournalReader, JournalWriter
from unitrack.records import Artifact, Metrics, Params, RunEnd, RunStart, Tags

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

FEW = settings(derandomize=True, deadline=None, max_examples=rounds(short=20, full=1000))

BOMBS = {
    "python object": "experiment: {name: !!python/object/apply:os.system ['touch executed']}",
    "python module": "!!python/module:os {}",
    "aliases": "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]",
    "sixties": "safeguards: {max_name_length: " + "1" + ":1" * 200_000 + "}",
    "digits": "safeguards: {max_name_length: " + "9" * 5_000 + "}",
    "hex digits": "safeguards: {max_name_length: 0x" + "f" * 500_000 + "}",
    "float": "tracking: {finish_timeout: " + "9" * 5_000 + ".0}",
    "depth": "[" * 100_000,
    "block depth": "".join(" " * level + "a:\n" for level in range(500)),
    "width": "experiment: {tags: {" + ",".join(f"k{n}: v" for n in range(20_000)) + "}}",
    "nul": "experiment: {name: 'a\0b'}",
    "binary": "experiment: !!binary '!!!!'",
    "set": "? [a, b]\n: c",
    "merge": "experiment: {<<: [1, 2]}",
    "bad int": "experiment: {name: !!int 'x'}",
    "bad bool": "experiment: {name: !!bool 'x'}",
    "bad timestamp": "experiment: {name: !!timestamp 'x'}",
}
TOML_BOMBS = {
    "digits": "[tool.unitrack.safeguards]\nmax_name_length = " + "9" * 5_000,
    "long key": "[tool.unitrack.experiment]\n" + "a." * 200_000 + "b = 1",
    "depth": "[tool.unitrack.experiment]\nx = " + "[" * 100_000,
    "inline": "[tool.unitrack.experiment]\nx = " + "{a=" * 50_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_yaml_bomb_is_an_error_of_configuration(root: Path, name: str) -> None:
    """No tag makes an object, no alias and no number makes work beyond the size of the file."""
    (root / "unitrack.yaml").write_text(BOMBS[name])
    with pytest.raises(ConfigError):
        resolve()
    assert not (root / "executed").exists()
    counted("YAML and TOML bombs")


@pytest.mark.parametrize("name", TOML_BOMBS)
def test_a_toml_bomb_is_an_error_of_configuration(root: Path, name: str) -> None:
    """The same in pyproject.toml."""
    (root / "pyproject.toml").write_text(TOML_BOMBS[name])
    with pytest.raises(ConfigError):
        resolve()
    counted("YAML and TOML bombs")


PIECES = [b"!!int ", b"&a ", b"*a", b"{", b"[", b"\n", b"\0", b"\xff", b"9" * 400]


def mutate(data: bytes, random: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled or moved."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 6)):
        at, length = random.randrange(len(changed) + 1), random.randint(1, 20)
        match random.randrange(4):
            case 0:
                changed[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = changed[at : at + length]
            case 3:
                changed[at:at] = random.choice(
                    [b"!!int ", b"&a ", b"*a", b"{", b"[", b"\n", b"\0", b"\xff", b"9" * 400]
                )
    return bytes(changed)


CONFIG = b"""experiment: {name: a, tags: {b: c}}
tracking:
  sinks: [local, {mlflow: {tracking_uri: "sqlite:///x.db", name: two}}]
safeguards: {max_name_length: 100, redact: ["*_pin"], redact_patterns: ["[0-9]+"]}
"""


@pytest.mark.parametrize("seed", range(4))
def test_fuzzed_configuration(root: Path, seed: int) -> None:
    """Whatever becomes of a file's bytes: settings, or our error."""
    rng = random.Random(seed)
    for number in range(rounds(short=60, full=3000)):
        content = mutate(CONFIG, rng)
        (root / "unitrack.yaml").write_bytes(content)
        try:
            resolve()
        except ConfigError:
            pass
        except Exception as error:
            raise AssertionError(f"seed {seed}, case {number}: {content!r}") from error
        counted("mutated configurations")


def journal_bytes(root: Path) -> bytes:
    writer = JournalWriter(root, writer="0-1-a")
    records = [
        RunStart(seq=0, time=now(), run_id="r", name="n", project="p"),
        Metrics(seq=1, time=now(), step=0, metrics={"loss": 0.5}, special={"x": "nan"}),
        Params(seq=2, time=now(), params={"a": {"b": [1, 2.5, None, "c"]}}),
        Tags(seq=3, time=now(), tags={"t": "u"}),
        Artifact(seq=4, time=now(), name="a/b.txt", file=".spool/files/0/b.txt", size=3),
        RunEnd(seq=5, time=now(), status="finished"),
    ]
    for record in records:
        writer.copy(record)
    writer.close()
    return (root / "0-1-a.000000.journal").read_bytes()


@pytest.mark.parametrize("seed", range(4))
def test_fuzzed_journal(root: Path, seed: int) -> None:
    """Whatever becomes of a journal's bytes, checksums made right again included: records and damages, and an end."""
    from zlib import crc32

    rng = random.Random(seed)
    whole = journal_bytes(root)
    for number in range(rounds(short=150, full=10_000)):
        content = mutate(whole, rng)
        if number % 2:  # what a stranger writes has the right checksum
            bodies = [line[9:] for line in content.split(b"\n")]
            content = b"".join(b"%08x %b\n" % (crc32(body), body) for body in bodies)
        (root / "0-1-a.000000.journal").write_bytes(content)
        reader = JournalReader(root, "0-1-a")
        try:
            for _ in range(10):
                for record in reader.read().records:
                    if isinstance(record, Metrics):
                        assert all(isinstance(value, float | int) for value in record.values().values())
        except Exception as error:
            raise AssertionError(f"seed {seed}, case {number}: {content!r}") from error
        finally:
            reader.close()
        counted("mutated journals")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(10**400),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)
NAMES = st.text(max_size=300) | st.sampled_from(
    [
        "..",
        "/",
        "a\0",
        "\x1b[31m",
        "‮evil",
        "CON",
        "NUL.txt",
        "a" * 255,
        "é" * 200,
        "\ud800",
        "-rf",
        "~",
        "$(id)",
        "../../x",
    ]
)


@FEW
@given(name=NAMES, value=VALUES)
def test_hostile_names_and_values(tmp_path_factory: pytest.TempPathFactory, name: str, value: Any) -> None:
    """Each call takes them or raises our error; what it took arrives, and nothing is written beside the run folder."""
    root = tmp_path_factory.mktemp("hostile")
    with unitrack.start_run(
        name or None, project=name or None, sinks=["local"], delivery="inline", root=root / "runs"
    ) as run:
        calls: list[Callable[[], None]] = [
            lambda: run.log_metrics({name: 0.5}),
            lambda: run.log_metrics({"x": value}),
            lambda: run.log_params({name: value}),
            lambda: run.set_tags({name: value}),
            lambda: run.log_text("text", name),
            lambda: run.log_dict({name: value}, "x.json"),
        ]
        for call in calls:
            try:
                call()
            except UnitrackError:
                continue
    assert [path.name for path in root.iterdir()] == ["runs"]
    assert list((root / "runs").iterdir()) == [run.path]
    assert run.finish().ok
    counted("names and values")


def test_params_are_as_deep_as_every_reader_takes(root: Path) -> None:
    """100 levels arrive, more are refused, however many; a mapping in itself too."""
    with unitrack.start_run("a", sinks=["local"], delivery="inline") as run:
        for depth in (99, 101, 300, 450, 900, 3000, 100_000):
            nested: Any = {"x": 1}
            for _ in range(depth - 1):
                nested = {"a": nested}
            if depth <= 100:
                run.log_params(nested)
            else:
                with pytest.raises(UnitrackError, match="nested"):
                    run.log_params(nested)
            while isinstance(nested, dict):  # taken apart by hand: Python would do it recursively
                nested = nested.popitem()[1]
            counted("params nested deeply")
        circle: dict[str, Any] = {}
        circle["self"] = circle
        with pytest.raises(UnitrackError, match="nested"):
            run.log_params(circle)
        with pytest.raises(UnitrackError, match="are allowed"):
            run.set_tags({"large": "x" * 2_000_000})
    assert run.finish().ok


EVIL = "\x1b]0;owned\x07\x1b[31m[bold red]x[/]\u009b31m‮txt.exe\r\ud800"


def test_no_name_commands_a_terminal(root: Path) -> None:
    """Escapes, changes of direction and rich's markup in what strangers wrote are printed, not obeyed."""
    run = Stranger(root)
    run.end(
        Tags(seq=0, time=now(), tags={EVIL[:-1]: EVIL[:-1]}),
        Params(seq=0, time=now(), params={EVIL[:-1]: EVIL[:-1]}),
        Metrics(seq=0, time=now(), step=1, metrics={EVIL[:-1]: 1.0}),
    )
    run.sync()
    metadata = json.loads((run.folder.path / "metadata.json").read_text())
    metadata |= {"run_name": EVIL, "description": EVIL, "project": EVIL}
    (run.folder.path / "metadata.json").write_text(json.dumps(metadata))
    run.edit_manifest(run__name=EVIL[:-1])
    for command in (["runs"], ["show", str(run.folder.path)], ["status", str(run.folder.path)], ["status", "--all"]):
        for arguments in (command, [*command, "--json"]):
            result = CliRunner().invoke(app, arguments, catch_exceptions=False)
            assert result.exit_code == 0, result.output
            for character in "\x1b\x07\u009b‮\r":
                assert character not in result.output, (arguments, character)
            if "--json" in arguments:
                json.loads(result.output)
            counted("names printed")


def modes(folder: Path) -> list[tuple[Path, int]]:
    """Each path of a folder and its mode; a courier may be removing the spool meanwhile."""
    found = []
    for place, _, files in os.walk(folder):
        for path in (Path(place), *(Path(place, file) for file in files)):
            with contextlib.suppress(FileNotFoundError):
                found.append((path, path.lstat().st_mode))
    return found


def test_nothing_is_writable_for_all(root: Path) -> None:
    """With a umask that takes nothing away, no file and no folder of a run is; with a strict one all are private."""
    (root / "source.txt").write_text("x")
    (root / "source.txt").chmod(0o666)
    for umask, forbidden in ((0, stat.S_IWOTH), (0o077, stat.S_IRWXO | stat.S_IRWXG)):
        before = os.umask(umask)
        try:
            run = unitrack.start_run(
                f"u{umask}",
                sinks=["local", {"probe": {"out": "probe"}}],
                root=root / f"r{umask}",
                delivery="inline" if umask else "process",  # a courier keeps the umask that it was started with
            )
            run.log_metrics({"loss": 1.0})
            run.log_text("x", "plots/x.txt")
            if umask == 0:
                run.log_artifact(root / "source.txt")
            spool = modes(run.path)
            assert any(path.suffix == ".journal" for path, _ in spool)
            run.finish(timeout=60)
        finally:
            os.umask(before)
        spool += modes(run.path)
        assert [(str(path), oct(mode)) for path, mode in spool if mode & forbidden] == []
        counted("files' permissions", len(spool))


GROWING: dict[str, Callable[[int], object]] = {
    "wide params": lambda n: unitrack_chain().params({f"k{i}": i for i in range(n)}),
    "long value": lambda n: unitrack_chain().params({"a": "x=1 " * n}),
    "yaml width": lambda n: read(b"experiment: {tags: {" + b",".join(b"k%d: v" % i for i in range(n // 8)) + b"}}"),
}


def unitrack_chain() -> Any:
    from unitrack.config import Safeguards
    from unitrack.validation import ValidationChain

    return ValidationChain(Safeguards())


def read(content: bytes) -> None:
    Path("unitrack.yaml").write_bytes(content)
    resolve()


@pytest.mark.parametrize("kind", GROWING)
def test_work_grows_with_the_size(kind: str) -> None:
    """Four times as much takes about four times as long; sixteen times would be quadratic."""

    def best(size: int) -> float:
        times = []
        for _ in range(3):
            started = time.process_time()
            GROWING[kind](size)
            times.append(time.process_time() - started)
        return max(min(times), 1e-3)

    assert best(20_000) / best(5_000) < 11
    counted("work that grows")
