"""The hook of `mkdocs build`: what the site shows of the repository outside docs/, and where its links lead.

In the repository every link is a path that works there. The site has only docs/ and the pages named here, so a link
that leads elsewhere in the repository (a source file, a schema) is shown there as its text alone.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "README.md": "index.md",
    "examples/README.md": "consumers.md",
}
"""Where the site shows them, under docs/; the front page has text of its own."""
_SHIM: Final = "https://unpkg.com/iframe-worker/shim"
_OWN_SHIM: Final = "vendor/iframe-worker.js"
_LINK: Final = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)#\s]+)(?P<place>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie beside docs/."""
    for source, page in PAGES.items():
        if files.get_file_from_path(page) is None:
            content = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=content))
    return files


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Take the script of the plugin `offline` from the site, because nothing may be fetched from elsewhere."""
    del config
    here = os.path.dirname(page.file.src_uri) or "."  # noqa: PTH120 -- no file: a name
    return output.replace(_SHIM, os.path.relpath(_OWN_SHIM, here))


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """Do the same in the page for unknown addresses, whose links begin at the root of the server."""
    del template_name, config
    return output_content.replace(_SHIM, f"/{_OWN_SHIM}")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the repository's links into the site's."""
    del config
    here = page.file.src_uri
    source = next((name for name, shown in PAGES.items() if shown == here and here != "index.md"), f"docs/{here}")

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found["text"], found["target"], found["place"] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        place = os.path.normpath(os.path.join(os.path.dirname(source), target))  # noqa: PTH118, PTH120 -- no file: a name
        if not (ROOT / place).exists():
            raise PluginError(f"{source}: there is no {target}")
        shown = PAGES.get(place, place.removeprefix("docs/"))
        if files.get_file_from_path(shown) is None:
            return text
        return f"[{text}]({os.path.relpath(shown, os.path.dirname(here) or '.')}{anchor})"  # noqa: PTH120

    return _LINK.sub(link, markdown)
