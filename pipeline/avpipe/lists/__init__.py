"""Lists that live: recordings that die, that must go, and sets that others can rebuild.

`uses` remembers what was made of a dataset, `removal` takes recordings out of it for good,
`locking` writes down which set of recordings a dataset is and finds out what has died since.
"""
