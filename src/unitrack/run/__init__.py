"""The write side's door: the handle that training code holds, how a run starts, and how it ends."""
