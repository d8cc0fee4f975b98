"""What couriers tell of themselves, what they leave to read when they die, and how long to wait after that."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from unitrack import limits
from unitrack.delivery.courier import log as courier_log
from unitrack.delivery.courier.protocol import Farewell, Heart, Pulse
from unitrack.delivery.lane.failures import pause, pause_of_parked


class Clock:
    """A monotonic clock that stands still until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("unitrack.delivery.courier.protocol.time.monotonic", lambda: self.now)


@pytest.fixture
def pair(clock: Clock) -> tuple[Heart, Pulse]:
    pulse = Pulse()
    return Heart(pulse.courier_end), pulse


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def close(pulse: Pulse) -> None:
    pulse.close_courier_end()
    pulse.close()


def test_silence_is_noticed_and_a_beat_ends_it(pair: tuple[Heart, Pulse], clock: Clock) -> None:
    heart, pulse = pair
    seen = []
    for second in range(200):
        clock.now += 1
        if second < 20:
            heart.beat()
        seen.append(pulse.is_silent())
    assert seen.index(True) == 20 + limits.COURIER_SILENT_S
    heart.beat()
    assert not pulse.is_silent()
    close(pulse)


def test_a_suspended_machine_makes_no_courier_silent(pair: tuple[Heart, Pulse], clock: Clock) -> None:
    """Whoever listens was suspended as well, and comes first."""
    _, pulse = pair
    clock.now += 86_400
    assert not pulse.is_silent()
    close(pulse)


def test_a_heart_waits_for_nobody(pair: tuple[Heart, Pulse]) -> None:
    """Nobody reads, and then nobody is there."""
    heart, pulse = pair
    for _ in range(100_000):  # more than a pipe holds
        heart.beat()
    assert not pulse.is_silent()
    pulse.close()
    heart.beat()
    pulse.close_courier_end()
    Heart(-1).beat()


def test_last_words_are_heard_after_beats(pair: tuple[Heart, Pulse]) -> None:
    heart, pulse = pair
    heart.beat()
    assert not pulse.is_silent()
    assert pulse.last_words() is None
    heart.beat()
    heart.tell(Farewell("left", [("/runs/a", "mlflow")]))
    assert not pulse.is_silent()  # heard before the process has ended, asked for after
    assert pulse.last_words() == Farewell("left", [("/runs/a", "mlflow")])
    close(pulse)


def test_a_log_is_cut_to_its_end_while_others_append(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COURIER_LOG_BYTES", 1000)
    log = root / "log"
    with log.open("a+b", buffering=0) as ours, log.open("ab", buffering=0) as other:
        other.write(b"x" * 990 + b"\n")
        courier_log.shorten(ours.fileno())
        assert courier_log.size(log) == 991
        other.write(b"the last line\n")
        courier_log.shorten(ours.fileno())
        other.write(b"one more\n")
    text = log.read_text()
    assert text.startswith("[what was printed before")
    assert text.endswith("x\nthe last line\none more\n")
    assert len(text) < 350


def test_what_is_no_file_is_left_alone() -> None:
    reading, writing = os.pipe()
    courier_log.shorten(writing)
    os.close(reading)
    os.close(writing)
    courier_log.shorten(writing)  # closed by a sink


@pytest.mark.parametrize(
    ("code", "says"),
    [(-signal.SIGSEGV, "died of SIGSEGV"), (-signal.SIGKILL, "memory"), (7, "exit code 7"), (-99, "99")],
)
def test_the_cause_of_death_is_named_with_the_last_lines(root: Path, code: int, says: str) -> None:
    log = root / "log"
    log.write_text("of the process before\n" + "chatter\n" * 10 + "\nhttps://ada:s3cret@host is down\n")
    cause = courier_log.cause_of_death(code, log, begin=22)
    assert says in cause
    assert cause.endswith("it said: chatter | chatter | chatter | https://[redacted]@host is down")
    assert courier_log.cause_of_death(code, log, courier_log.size(log)).endswith(f"see {log}")
    assert courier_log.cause_of_death(code, root / "none", 0).endswith("none")


def test_a_fatal_error_of_python_is_told_with_its_place(root: Path) -> None:
    log = root / "log"
    place = (
        'Current thread 0x1 (most recent call first):\n  File "sdk.py", line 3 in call\n  File "b.py", line 1 in x\n'
    )
    log.write_text(
        "chatter\nFatal Python error: Segmentation fault\n\n"
        + place
        + '  File "c.py"\n' * 30
        + "Extension modules: a\n"
    )
    said = courier_log.last_lines(log, 0)
    assert said.startswith("Fatal Python error: Segmentation fault | Current thread")
    assert 'File "sdk.py", line 3 in call' in said
    assert "Extension" not in said


def test_back_off_is_bounded_and_jittered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest wait doubles, each one is a random part of it; what a backend asks for counts, but not for ever."""
    for failures, ceiling in enumerate((0.5, 1, 2, 4, 8, 16, 32, 60, 60)):
        waits = [pause(failures) for _ in range(200)]
        assert limits.RETRY_FIRST_S / 2 <= min(waits) < max(waits) <= ceiling
        assert max(waits) - min(waits) > ceiling / 3  # full jitter; 200 so alike by chance: once in 10^30
    assert pause(10_000) <= limits.RETRY_MAX_S
    told = [pause(0, wanted=8.0) for _ in range(200)]
    assert 8.0 <= min(told) < max(told) <= 10.0
    assert max(told) - min(told) > 1.0  # a server tells all clients the same
    assert pause(0, wanted=1e9) == limits.PARKED_RETRY_S
    parked = [pause_of_parked() for _ in range(200)]
    assert limits.PARKED_RETRY_S / 2 < min(parked) < max(parked) <= limits.PARKED_RETRY_S
