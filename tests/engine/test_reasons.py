"""Why something runs again is said in words, and nothing twice."""

from avpipe.engine.reasons import explain


def test_reasons_are_words() -> None:
    old = {"stage": "detect", "version": 1, "parameters": {"a": 1}, "tool": {"models": {"m": "x"}}}
    new = {"stage": "detect", "version": 2, "parameters": {"a": 2}, "tool": {"models": {"m": "y"}}}
    assert explain(old, new) == "parameter a 1 -> 2; tool models.m x -> y; version 1 -> 2"
    assert explain(old, old) is None


def test_of_another_detector_only_what_both_have_is_told_and_nothing_twice() -> None:
    def identity(name: str, **options: int) -> dict[str, object]:
        return {
            "version": 1,
            "parameters": {"detector": name, "options": options},
            "tool": {"detector": name, "parameters": options},
        }

    same = explain(identity("a", size=1), identity("a", size=2, depth=3))
    assert same == "parameter options.depth none -> 3; parameter options.size 1 -> 2"
    other = explain(identity("a", size=1, wide=1), identity("b", size=2, depth=3))
    assert other == "parameter detector a -> b; parameter options.size 1 -> 2"
