"""Getting a recording's media file: from the web through yt-dlp, or from a folder.

`web.fetch` downloads one URL, `folder.find` looks into a folder. What can be expected to go wrong
is `RecordingFailed` with its class; `failures` is the table.
"""
