"""Text from outside, made safe to show on a terminal: no character in it moves the cursor or turns the text round."""

from __future__ import annotations


def printable(text: str, longest: int | None = None) -> str:
    r"""Return the text with each character that can't be seen as its escape: control and bidi characters, surrogates.

    ESC becomes `\x1b`, a line's end `\n`. Of a text with more than `longest` characters the beginning and `…` remain.
    """
    if longest is not None and len(text) > longest:
        text = text[: longest - 1] + "…"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def printable_json(document: str) -> str:
    """Return a JSON document of one line in which such characters are JSON's own escapes: the same values for programs.

    Outside strings JSON has ASCII alone, so every character that is replaced stands in a string.
    """
    if document.isprintable():
        return document
    return "".join(one if one.isprintable() else _json_escape(one) for one in document)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
