"""Names of runs that were given none: two words, which people remember and can say, unlike a time."""

from __future__ import annotations

import os

_ADJECTIVES = """
able agile amber ample azure bold brave brief bright brisk calm candid civil clear clever cosmic crisp curious daring
deep eager early easy fair fancy fast fine firm fleet fond free fresh gentle glad golden grand great green happy hardy
honest humble ideal jolly keen kind large lasting late light lively loyal lucid lucky lunar mellow merry mild modest
neat nimble noble novel open patient plain polar polite prime proud pure quick quiet rapid rare ready regal rich
robust rosy royal rustic sage serene sharp silent silver simple sleek smart smooth snowy sober solar solid sound
stable steady still stout strong subtle sunny super swift tender tidal tidy timely tough true upbeat valid vast vivid
warm wide wild wise witty young zesty
""".split()  # noqa: SIM905  # a list fills 250 lines
_NOUNS = """
acorn alder arch aspen badger bay beacon bear beaver birch bison bloom brook canyon cedar cliff cloud clover comet
condor coral crane creek crow dale dawn deer delta dove dune eagle elk elm falcon fern field finch fir fjord flame
forest fox garden geyser glacier glade grove gull harbor hare hawk hazel heath heron hill ibis inlet island ivy jay
lagoon lake lark laurel lichen lily lion lynx maple marsh meadow mesa mist moon moor moss oak ocean olive orbit orchid
osprey otter owl palm panda peak pebble pine plain planet plover pond poplar prairie puffin quail rain raven reed reef
ridge river robin rose rowan sage seal shore sky snow sparrow spring spruce star stone storm stream swan swift thrush
tide trail tulip valley vine violet wave whale willow wind wolf wren yew zephyr
""".split()  # noqa: SIM905  # a list fills 250 lines


def new_run_name() -> str:
    """Return a name such as "brave-otter". It takes nothing from `random`, whose numbers belong to the training."""
    adjective, noun = (words[int.from_bytes(os.urandom(4)) % len(words)] for words in (_ADJECTIVES, _NOUNS))
    return f"{adjective}-{noun}"


def is_made_up(name: str) -> bool:
    """Return whether a name is one that `new_run_name` gives."""
    adjective, _, noun = name.partition("-")
    return adjective in _ADJECTIVES and noun in _NOUNS
