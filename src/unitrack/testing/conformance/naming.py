"""Names and texts: they come back as they were logged, and no two names become one."""

from __future__ import annotations

import os

import pytest

from unitrack.testing.conformance.base import BackendTests, MakeTrial
from unitrack.testing.trial import Trial

NAMES = (
    *(
        "mean@1",
        "a//b",
        "foo",
        "foo/bar",
        "Loss",
        "loss",
        "LOSS",
        "a:b",
        "a_b",
        "a.b",
        "a b",
        "a/b",
        "../x",
        "/x",
        "x/",
    ),
    *(
        "🙂",
        "naïve",
        "nai\u0308ve",
        "损失",
        "_step",
        "step",
        "_timestamp",
        "epoch",
        "_x40_",
        "mean_x40_1",
        "%40",
        "a\\b",
    ),
    *("-dash", "=1+1", "[0]", "{x}", "$HOME", "'quoted'", '"double"', "<tag>", "#", "?", "&", "*", "~", "null", "."),
    *("..", "trailing.", " leading", "trailing ", "two  spaces", "tab\tname", "new\nline", "n" * 1000, "n" * 999 + "m"),
)

TEXTS = {
    "emoji": "🙂 👩‍👩‍👧 🏳️‍🌈",
    "other scripts": "损失 потеря הפסד الخسارة ฿",
    "combining": "nai\u0308ve vs naïve",
    "lines": "one\ntwo\r\nthree\n",
    "quotes": "'single' \"double\" `back` \\ / ",
    "markup": "<b>bold</b> & *stars* [link](x) {{ x }} %s %(x)s ${x}",
    "spaces": "  kept  \t ",
    "like yaml": "- a: b # no comment",
    "like json": '{"a": [1, null]}',
}

ARTIFACT_NAMES = (
    *(
        "plain.txt",
        "Plain.txt",
        "no extension",
        "spaces in it.txt",
        "损失 🙂.txt",
        "a:b",
        "a_b",
        "100%",
        "%41",
        "#1?.txt",
    ),
    *("deep/er/and/deeper.bin", "deep/other.bin", "-x", "+x", "a=b", "a&b", "[0].png", "metadata.json", "config.yaml"),
    *("metrics.jsonl", "params.json", "output.log", ".hidden", "..dots", "a" * 200 + ".txt"),
)

FILE_NAMES_IN_A_FOLDER = (
    *(
        "good.txt",
        "Good.txt",
        "a:b",
        "C:x",
        "a_x3a_b",
        "line\nbreak.txt",
        "bell\x07.txt",
        "tab\tx",
        "dot.",
        "space ",
        " x",
    ),
    *("100%", "a%2Fb", "#1?.txt", "a+b&c=d", "<*>|", "损失 🙂.txt", "sub/deep.txt", "sub/x:y/z.txt", "...", "a" * 240),
)


class NameConformance(BackendTests):
    """Names that a backend may merge, refuse or cut."""

    def test_names_in_one_call(self, trial: Trial) -> None:
        """Metrics of all names arrive in one call, and none is merged with another."""
        trial.metrics({name: float(number) for number, name in enumerate(NAMES)}, 1)
        trial.metrics({name: float(number) / 2 for number, name in enumerate(NAMES)}, 2)
        trial.end()
        self.check(trial)

    def test_names_are_kept_over_restarts(self, trial: Trial) -> None:
        """Each name stays one curve, whichever is logged first after a restart."""
        for step, names in enumerate((NAMES, NAMES[::-1], NAMES[7:])):
            trial.metrics({name: float(number) for number, name in enumerate(names)}, step)
            trial.deliver()
            trial.crash()
        trial.end()
        self.check(trial)

    @pytest.mark.parametrize(
        "pair", [("foo", "foo/bar"), ("Loss", "loss"), ("a:b", "a_b"), ("a//b", "a/b")], ids="~".join
    )
    def test_names_that_collide_arrive_one_after_the_other(self, trial: Trial, pair: tuple[str, str]) -> None:
        """The second name comes after a restart, when the sink knows the first only from what it has stored."""
        trial.metrics({pair[1]: 1.0}, 1)
        trial.deliver()
        trial.crash()
        trial.metrics({pair[0]: 2.0}, 1)
        trial.end()
        self.check(trial)

    def test_param_names(self, trial: Trial) -> None:
        """Params of all names; a name with a dot stands for nesting, so those are left out."""
        trial.params({name: number for number, name in enumerate(NAMES) if "." not in name})
        trial.end()
        self.check(trial)

    def test_tag_names(self, trial: Trial) -> None:
        """Tags of all names."""
        trial.tags({name: str(number) for number, name in enumerate(NAMES)})
        trial.end()
        self.check(trial)

    def test_artifact_names(self, trial: Trial) -> None:
        """Artifacts of odd names, and of names that the backend itself may use."""
        for number, name in enumerate(ARTIFACT_NAMES):
            trial.artifact(name, f"content {number}".encode())
        trial.end()
        self.check(trial)

    def test_names_in_a_folder(self, trial: Trial) -> None:
        """A folder with files of odd names among plain ones."""
        trial.artifact("folder", {name: f"content {n}".encode() for n, name in enumerate(FILE_NAMES_IN_A_FOLDER)})
        trial.end()
        self.check(trial)

    def test_a_name_in_a_folder_that_is_not_utf8(self, trial: Trial) -> None:
        """A file whose name is not UTF-8 costs at most that file or its name. Only old journals hold one."""
        odd = os.fsdecode(b"caf\xe9.txt")
        good = {"a.txt": b"a", "sub/b.txt": b"b", "sub/a_x40_b": b"c"}
        try:
            trial.artifact("folder", {**good, odd: b"odd"})
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
        trial.metrics({"loss": 0.5}, 1)
        trial.end()
        assert (trial.ledger.state, trial.ledger.dead_lettered) == ("complete", 0)
        found = self.read(trial)
        assert found.points == trial.logged.points
        assert {f"folder/{name}": content for name, content in good.items()}.items() <= found.files.items()

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    def test_text(self, make_trial: MakeTrial, text: str) -> None:
        """Any text comes back: as name and description of a run, as a tag and its value, as a param and in a list."""
        trial = make_trial(name=text, description=text, tags={"started with": text})
        trial.tags({"set later": text, text: "as a name"})
        trial.params({"text": text, "list": [text], "nested": {"text": text}})
        trial.end()
        self.check(trial)

    def test_long_texts(self, make_trial: MakeTrial) -> None:
        """A description of 10,000 characters and a tag of 6,000."""
        trial = make_trial(description="d" * 10_000, name="n" * 300)
        trial.tags({"long": "t" * 6000, "unicode": "损" * 3000})
        trial.end()
        self.check(trial)
