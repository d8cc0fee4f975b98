"""Decoding into structs from many threads, and after a fork."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from unitrack.values.codec import convert, decode

MANY_THREADS = """
import sys
import threading
import msgspec
from unitrack.values.codec import convert, decode

sys.setswitchinterval(1e-6)
for number in range(40):
    names = [f"field_{index}" for index in range(60)]
    inner = msgspec.defstruct("Inner", [(name, int, 0) for name in names])
    outer = msgspec.defstruct("Outer", [("inner", inner), ("more", dict[str, inner])])
    together = threading.Barrier(4)

    def read(outer=outer, together=together):
        together.wait()
        assert decode(b'{"inner": {"field_59": 7}, "more": {}}', outer).inner.field_59 == 7
        assert convert({"inner": {}, "more": {"a": {"field_0": 1}}}, outer).more["a"].field_0 == 1

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("all read")
"""


def test_threads_may_read_a_type_for_the_first_time_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", MANY_THREADS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "all read\n", "")


def test_a_forked_child_decodes_though_a_thread_was_making_a_decoder() -> None:
    code = """
import os, threading, sys
import msgspec
from unitrack.values.codec import decode

def make():
    while True:
        decode(b"{}", msgspec.defstruct("New", [(f"f{i}", int, 0) for i in range(200)]))

threading.Thread(target=make, daemon=True).start()
for _ in range(20):
    if (child := os.fork()) == 0:
        decode(b"{}", msgspec.defstruct("Own", []))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_errors_are_those_of_msgspec() -> None:
    class Point(msgspec.Struct):
        x: int

    with pytest.raises(msgspec.ValidationError, match=r"Expected `int`, got `str` - at `\$\.x`"):
        decode(b'{"x": "1"}', Point)
    with pytest.raises(msgspec.DecodeError):
        decode(b"{", Point)
    assert convert({"x": "1"}, Point, strict=False) == Point(1)
