"""How media are fetched. None of it is in a key: a download is not reproducible, and is kept."""

from dataclasses import dataclass, field
from typing import Any

from avpipe.config import runtime_only
from avpipe.limits import MediaLimits


@dataclass(frozen=True, slots=True)
class Options:
    """Parameters of `download`."""

    format: str = runtime_only("bv*[height<=?720]+ba/b[height<=?720]/b")
    """yt-dlp's format selection. `<=?` also takes formats that do not state their height."""
    limits: MediaLimits = field(default_factory=MediaLimits, metadata={"key": False})
    """What the fetched file may be at most: `[limits]` of the manifest."""
    timeout_seconds: float = runtime_only(1800.0)
    """After these the recording fails as `timeout`, whatever is still arriving."""
    min_bytes_per_second: float = runtime_only(1000.0)
    """Slower than this over `stall_seconds` fails as `timeout`."""
    stall_seconds: float = runtime_only(60.0)
    """The stretch over which the speed of a download is judged."""
    min_free_bytes: int = runtime_only(1 << 30)
    """Free space that a download leaves on the disk: it stops before, as `disk`."""
    retries: int = runtime_only(2)
    """Attempts after the first one at every request that the network breaks."""
    cookies_file: str | None = runtime_only(None)
    """Netscape cookie file; every download works on its own copy."""
    cookies_from_browser: str | None = runtime_only(None)
    """Browser to take cookies from, as yt-dlp writes it: `firefox`, `chrome:Profile 1`."""
    proxy: str | None = runtime_only(None)
    """`http://...` or `socks5://...` address that all requests go through."""
    rate_limit_bytes: int | None = runtime_only(None)
    """Bytes per second a download takes at most."""
    refused: tuple[str, ...] = runtime_only(())
    """SHA-256 of media files that fail as `removed`, whatever their id: see `avpipe remove`."""
    require_licence: str | None = runtime_only(None)
    """Pattern (`CC*`) of the licence without which a recording fails as `copyright`, before it is
    fetched. Its licence is the one that the manifest gives it, or else its page, or else
    `licence`."""
    licence: str = runtime_only("")
    """Licence of the dataset."""
    ytdlp: dict[str, Any] = runtime_only({})  # noqa: RUF009
    """Further options of `yt_dlp.YoutubeDL`; they win over avpipe's own."""
