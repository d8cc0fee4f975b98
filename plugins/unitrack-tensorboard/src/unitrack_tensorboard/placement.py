"""The folder of each point, chosen so that TensorBoard shows it.

TensorBoard's data server takes a step that is not above the tag's last one for a restart, and hides the tag's earlier
points from that step on (reservoir.rs, `preempt`; 100 points and then one at step 10 leave 11). The rule holds per
tag and across the files of one folder. So in each folder the steps of a tag strictly increase: a late or repeated
point goes to the first of the sibling folders `late-1`, `late-2`, ... in which it is in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MAX_LATE_FOLDERS = 1000
"""Each is a run of its own in TensorBoard. A random order of n steps needs about 2 sqrt(n) of them, so this is enough
for 250,000 points in random order. What doesn't fit goes to the last one all the same: TensorBoard's Python reader and
the source still find it there."""


class Placement:
    """The folder of each point: 0 is the run's own, n is `late-n`."""

    def __init__(self, state: Mapping[str, Sequence[int]] | None = None) -> None:
        """`state` is what `state()` gave."""
        self._tags = {tag: list(numbers) for tag, numbers in (state or {}).items()}

    def place(self, tag: str, step: int) -> tuple[int, int]:
        """The folder for the next point of `tag`, and how many points the tag had before."""
        numbers = self._tags.get(tag)
        if numbers is None:
            self._tags[tag] = [1, step]
            return 0, 0
        before = numbers[0]
        numbers[0] += 1
        if step > numbers[1]:
            numbers[1] = step
            return 0, before
        return self._late(numbers, step), before

    def revision(self, tag: str) -> int:
        """A step above all steps of `tag`, for what has none of its own."""
        numbers = self._tags.get(tag)
        return numbers[1] + 1 if numbers else 0

    def state(self) -> dict[str, list[int]]:
        """For each tag: its number of points, then the last step in each folder. JSON values."""
        return {tag: list(numbers) for tag, numbers in self._tags.items()}

    @staticmethod
    def _late(numbers: list[int], step: int) -> int:
        for folder in range(1, len(numbers) - 1):
            if step > numbers[folder + 1]:
                numbers[folder + 1] = step
                return folder
        if len(numbers) - 2 < MAX_LATE_FOLDERS:
            numbers.append(step)
        return len(numbers) - 2
