"""What happens while a build runs; `avpipe.build` puts it together.

`request` says what is wanted and `profile` who does it; `plan` finds what must run, and `reasons`
says why. `run` brings the recordings (`walk`) down the line, tells an `observer`, and ends early at
a `stop`: `dispatch` chooses the next task of each pool, `pacing` when a host may be asked, a
`worker` hands it to its `child`, which does the `work`, and `verdict` judges what failed. `packing`
and `publication` bring what is complete into the shards. After a ledger was lost, `recovery` makes
it anew.
"""
