"""Makes text from outside safe to print on a terminal, by escaping control characters."""

from __future__ import annotations


def printable(text: str, longest: int | None = None) -> str:
    r"""Return the text with its unprintable characters (control, bidi, surrogates) escaped: ESC becomes `\x1b`.

    A text with more than `longest` characters is first cut to that length and ends in `…`.
    """
    if longest is not None and len(text) > longest:
        text = text[: longest - 1] + "…"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def printable_json(document: str) -> str:
    """Replace the unprintable characters of a JSON document in one line by JSON escapes.

    Programs that decode the result get the same values.

    The document must come from msgspec, which writes such characters only inside strings.
    """
    if document.isprintable():
        return document
    return "".join(one if one.isprintable() else _json_escape(one) for one in document)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
