"""What artifacts were logged with is compared as well."""

from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.annotations import compare_annotations
from unitrack.records import Artifact


def artifact(**annotations):
    return Artifact(seq=0, time=0, name="a.png", file="", annotations=annotations)


def found(before, after, **allowances):
    return [str(one) for one in compare_annotations([before], [after], Allowances(**allowances))]


def test_each_difference_is_named():
    boxes = {"predictions": {"box_data": [{"position": [0.1, 0.2, 0.3, 0.4], "class_id": 1, "caption": "a dog"}]}}
    before = artifact(caption="cat", boxes=boxes, version={"name": "model", "number": 3, "aliases": ["best"]})
    after = artifact(boxes={}, version={"name": "model", "number": 3}, extra=1)
    assert found(before, after) == [
        "artifact 'a.png': caption missing: 'cat' became None",
        "artifact 'a.png': boxes differs: None became {}",
        "artifact 'a.png': version.aliases missing: ['best'] became None",
        "artifact 'a.png': extra extra: None became 1",
    ]


def test_the_same_is_the_same_in_any_form():
    """A backend may give a list where a tuple was, and 1 for 1.0; the order of keys does not count."""
    before, after = (
        artifact(a=(1.0, 2), version={"name": "m", "number": 1}),
        artifact(version={"number": 1, "name": "m"}, a=[1, 2]),
    )
    assert found(before, after) == []
    assert list(compare_annotations([before], [], Allowances())) == []  # the file itself is missing


def test_a_backend_that_keeps_files_alone_is_stated():
    [one] = compare_annotations([artifact(caption="cat")], [artifact()], Allowances(annotations=False))
    assert one.allowed == "the backend keeps the files of artifacts alone"
