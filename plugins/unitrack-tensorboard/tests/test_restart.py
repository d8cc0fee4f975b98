"""After a crash, what is delivered again is there once, and nothing is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tensorboard_readers import data_server, images, png, points, scalars, sourced, texts, wait_until

from unitrack.testing.driver import now_ms
from unitrack_tensorboard import event_file, layout

# (step, value) of one metric; the late ones go to a folder that the first batch doesn't have
FIRST = [(step, 1.0) for step in range(10)]
SECOND = [(10, 2.0), (3, 2.5), (11, 2.0), (3, 2.75), (12, 2.0)]


def deliver(sink, series):
    for step, value in series:
        sink.metrics({"loss": value, f"m{step}": value}, step)


def expected(*batches):
    together = [point for batch in batches for point in batch]
    found = {"loss": sorted(together)}
    for step, value in together:
        found.setdefault(f"m{step}", []).append((step, value))
    return {tag: sorted(series) for tag, series in found.items()}


def event_files(folder: Path) -> list[Path]:
    return [path for _, _, path in layout.parts(folder)]


@pytest.fixture
def crashed(open_sink, logdir):
    """A run whose second batch reached the disk but not the ledger; gives the last committed checkpoint."""
    sink = open_sink()
    deliver(sink, FIRST)
    checkpoint = sink.flush()
    deliver(sink, SECOND)
    sink.flush()
    return checkpoint


@pytest.mark.parametrize("lost", [0, 1, 5, 17, 60, 10**6])
def test_torn_anywhere_behind_the_checkpoint(crashed, open_sink, logdir, folder, reader, lost):
    for path, keep in zip(event_files(folder), [crashed["lengths"]["0"], 0, 0], strict=True):
        os.truncate(path, max(keep, path.stat().st_size - lost))
    again = open_sink(crashed)
    deliver(again, SECOND)
    again.end()
    with reader(logdir) as opened:
        assert points(opened) == expected(FIRST, SECOND)
    assert sourced(logdir)["loss"] == [*FIRST, *SECOND]


def test_nothing_was_committed_before_the_crash(crashed, open_sink, logdir, reader):
    again = open_sink(None)
    deliver(again, FIRST + SECOND)
    again.end()
    with reader(logdir) as opened:
        assert points(opened) == expected(FIRST, SECOND)


def test_opening_alone_changes_no_committed_point(crashed, open_sink, logdir, reader):
    for _ in range(3):
        assert open_sink(crashed).flush() == crashed
    with reader(logdir) as opened:
        assert points(opened) == expected(FIRST)


def test_folders_begun_after_the_checkpoint_are_gone(crashed, open_sink, folder):
    assert (folder / "late-2").is_dir()
    open_sink(crashed)
    assert not list(folder.glob("late-*"))


def test_many_restarts_each_after_an_uncommitted_write(open_sink, logdir, reader):
    checkpoint, written = None, []
    for start in range(25):
        sink = open_sink(checkpoint)
        batch = [(start * 2, float(start)), (start * 2 + 1, float(start)), (start, 0.5)]
        deliver(sink, batch)
        sink.flush()
        again = open_sink(checkpoint)  # as if that flush had not been committed
        deliver(again, batch)
        checkpoint = again.flush()
        written += batch
    again.end()
    with reader(logdir) as opened:
        assert points(opened) == expected(written)
    assert sourced(logdir)["loss"] == written


def test_a_restart_hides_no_point_of_a_metric_that_was_ahead(open_sink, logdir, reader):
    sink = open_sink()
    sink.metrics({"ahead": 1.0}, 1000)
    sink.metrics({"loss": 1.0}, 5)
    again = open_sink(sink.flush())
    again.metrics({"loss": 2.0}, 6)
    again.end()
    with reader(logdir) as opened:
        assert scalars(opened) == {"run-a": {"ahead": [(1000, 1.0)], "loss": [(5, 1.0), (6, 2.0)]}}


def test_a_data_server_that_runs_sees_what_comes_after_a_restart(open_sink, logdir):
    sink = open_sink()
    deliver(sink, FIRST)
    checkpoint = sink.flush()
    with data_server(logdir, reload="1") as server:
        assert points(server) == expected(FIRST)
        deliver(sink, SECOND[:1])
        sink.flush()
        assert wait_until(lambda: len(points(server)["loss"]) == 11)
        again = open_sink(checkpoint)
        deliver(again, SECOND)
        again.flush()
        assert wait_until(lambda: points(server) == expected(FIRST, SECOND))
        again.end("failed")
        assert wait_until(lambda: "status | failed" in texts(server, "run-a")["unitrack/run"][-1][1])


def test_a_file_name_is_never_used_twice(open_sink, folder):
    # A data server that runs would go on reading the deleted file. The clock may have been set back meanwhile.
    open_sink().flush()
    future = layout.part_path(folder, 0, now_ms() + 86_400_000)
    future.write_bytes(b"not committed")
    again = open_sink()
    deliver(again, FIRST)
    again.flush()
    [file] = event_files(folder)
    assert file.name > future.name


def test_images_that_reached_the_disk_before_the_flush_are_there_once(open_sink, logdir, reader, monkeypatch):
    monkeypatch.setattr(event_file, "_SPILL_BYTES", 0)
    sink = open_sink()
    sink.metrics({"x": 1.0}, 1)
    checkpoint = sink.flush()
    for _ in range(2):
        sink = open_sink(checkpoint)
        for step in range(3):
            sink.artifact(f"a-{step}.png", png(step + 1, 1), "image", step=step)
    sink.end()
    with reader(logdir) as opened:
        assert [step for step, *_ in images(opened, "run-a")["a.png"]] == [0, 1, 2]


def test_retrying_a_flush_without_opening_again_writes_once(open_sink, logdir, reader):
    sink = open_sink()
    deliver(sink, FIRST)
    sink.flush()
    sink.flush()
    sink.end()
    with reader(logdir) as opened:
        assert points(opened) == expected(FIRST)


def test_a_deleted_logdir_is_begun_again(open_sink, logdir, reader):
    sink = open_sink()
    deliver(sink, FIRST)
    checkpoint = sink.flush()
    shutil.rmtree(logdir)
    again = open_sink(checkpoint)
    deliver(again, [(10, 2.0)])
    again.end()
    with reader(logdir) as opened:
        assert points(opened) == expected([(10, 2.0)])


def test_the_source_gives_what_is_left_of_damaged_files(crashed, folder, logdir):
    main, *_ = event_files(folder)
    os.truncate(main, main.stat().st_size // 2)
    left = sourced(logdir)["loss"]
    assert FIRST[0] in left
    assert left[-2:] == [(3, 2.5), (3, 2.75)]


def test_files_of_others_in_the_folder_stay(crashed, open_sink, folder):
    (folder / "events.out.tfevents.9999999999.host.1.0").write_bytes(b"theirs")
    (folder / "late-1" / "notes.txt").write_bytes(b"theirs")
    open_sink(crashed)
    assert (folder / "events.out.tfevents.9999999999.host.1.0").read_bytes() == b"theirs"
    assert (folder / "late-1" / "notes.txt").read_bytes() == b"theirs"
