"""Whether a licence is one that is asked for."""

from fnmatch import fnmatchcase

from avpipe.errors import FailureClass, RecordingFailed

_NAMES = {"creative commons attribution license": "CC-BY"}
"""How a site spells a licence -> its short name; what follows is a remark."""


def require(pattern: str | None, stated: str | None) -> None:
    """Lets a licence pass that matches a shell pattern, whatever its case.

    Raises:
        RecordingFailed: `copyright`; it does not, or none is stated.
    """
    if pattern is None:
        return
    text = stated or ""
    names = [text, *(n for site, n in _NAMES.items() if text.casefold().startswith(site))]
    if not any(fnmatchcase(name.casefold(), pattern.casefold()) for name in names):
        raise RecordingFailed(
            FailureClass.COPYRIGHT,
            f"its licence is {text[:80]!r}, {pattern!r} is required (once it is not any more, build"
            " with --retry-failed)",
        )
