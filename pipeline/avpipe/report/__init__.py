"""What a person looks at: shards in words, clips as pictures, datasets and comparisons as pages.

`shard` and `clip` are shown by `avpipe inspect`, `dataset` (its `facts`, and a `sheet` of clips) by
`report`, `comparison` by `compare`, `overlay_video` by `detect`. Pages are templates (`page`). A
skeleton is drawn onto axes by `overlays`, onto pixels by `raster`, small by `pictures`; `plots` lie
along the time of a recording.
"""
