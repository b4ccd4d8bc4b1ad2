"""The files that the console's pages load."""

import hashlib
import re
from pathlib import Path

import bridge
from tests.unit.console_side import console_side

STATIC = Path(bridge.__file__).parent / "http" / "console" / "static"


def test_vendored_script_is_what_its_licence_names() -> None:
    """The vendored htmx is unchanged: its file has the digest that stands beside its version and licence."""
    told = (STATIC / "htmx.LICENSE").read_text(encoding="utf-8")
    digest = re.search(r"SHA-256: ([0-9a-f]{64})", told)
    assert digest is not None
    assert hashlib.sha256((STATIC / "htmx.min.js").read_bytes()).hexdigest() == digest[1]
    assert 'version:"' + told.split()[1].rstrip(":") in (STATIC / "htmx.min.js").read_text(encoding="utf-8")


async def test_files_are_kept_by_browsers_and_open_to_all() -> None:
    """Each file that a page names is there without a sign-in, may be kept for ever, and forbids sniffing."""
    async with console_side() as browser:
        page = await browser.get("/console")
        names = [one["src"] for one in page.parsed.all("script")] + [one["href"] for one in page.parsed.all("link")]
        assert len(names) == 4
        for name in names:
            async with browser.client.get(f"{browser.api.url}{name}") as reply:
                assert reply.status == 200, name
                assert "immutable" in reply.headers["Cache-Control"]
                assert reply.headers["X-Content-Type-Options"] == "nosniff"
                assert reply.content_type in {"text/css", "text/javascript", "image/svg+xml"}


def test_styles_load_nothing_from_elsewhere() -> None:
    """The styles and the console's own script name no other host and import nothing."""
    for name in ("console.css", "console.js"):
        text = (STATIC / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|@import|url\(|eval\(|innerHTML", text), name
