from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bridge.settings import Settings, sources
from bridge.settings.configuration_page import as_text, documented, sections

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PICTURES = sorted((ROOT / "docs" / "images").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
BUILD_DEADLINE = 120


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=BUILD_DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize("page", ["delivery.md", "security-model.md"])
def test_each_proof_that_a_page_names_exists(page: str) -> None:
    """Every test that the page gives as proof is one of the suite."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / page).read_text(encoding="utf-8")))
    tests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py"))
    assert len(named) > 10
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []


def test_each_proof_that_the_security_model_names_exists() -> None:
    """Every `file::test` that docs/security-model.md gives as proof is in that file."""
    page = (ROOT / "docs" / "security-model.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", page)
    assert len(named) > 20
    files = {file: ROOT / "tests" / file for file, _ in named}
    texts = {file: path.read_text(encoding="utf-8") if path.exists() else "" for file, path in files.items()}
    assert [f"{file}::{test}" for file, test in named if f"def {test}(" not in texts[file]] == []


def test_the_site_builds_strictly(site: Path) -> None:
    """No link leads nowhere, no page is left out of the navigation, and each page is built."""
    built = {str(path.relative_to(site).with_suffix("")) for path in site.rglob("*.html")}
    written = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in ROOT.glob("docs/**/*.md")}
    assert {page.replace("README", "index") for page in written} <= built


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """A browser fetches scripts, styles, fonts and pictures from the site alone."""
    loads = re.compile(
        r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//|<link\b[^>]*href=["']?https?://"""
    )
    assert [path.name for path in site.rglob("*.html") if loads.search(path.read_text(encoding="utf-8"))] == []
    styles = [
        path for path in site.rglob("*.css") if re.search(r"url\(['\"]?https?://|@import", path.read_text("utf-8"))
    ]
    assert styles == []


def test_committed_configuration_page_is_these_settings() -> None:
    """docs/configuration.md is made from the settings; `make configuration` writes it anew."""
    committed = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert committed == as_text(), "docs/configuration.md has drifted: run `make configuration` and commit it"


def test_each_setting_says_what_it_means() -> None:
    """Every setting has a docstring under it: the page has nothing else to tell."""
    silent = [
        sources.dotted((*location, field))
        for location, section in sections(Settings)
        for field, meaning in documented(section).items()
        if not meaning and not any((*location, field) == other for other, _ in sections(Settings))
    ]
    assert silent == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_variable_that_a_page_names_is_a_setting(page: Path) -> None:
    """A page names no BRIDGE_* variable that the bridge does not know."""
    known = sources.variables(Settings).keys() | sources.NOT_SETTINGS
    named = set(re.findall(r"BRIDGE_[A-Z_]*[A-Z](?!\w|_?\*)", page.read_text(encoding="utf-8")))
    assert sorted(named - known) == []


def test_nothing_asks_for_an_installation_from_a_registry() -> None:
    """No page, example or message installs the bridge from a package registry, because it is in none yet."""
    texts = [*PAGES, *ROOT.glob("examples/**/*.md"), *ROOT.glob("examples/**/*.py"), *ROOT.glob("bridge/**/*.py")]
    asks = re.compile(r"(?:pip|pipx|uv) (?:\w+ )*['\"]?cometd-kafka-bridge")
    assert [name(path) for path in texts if asks.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=name)
def test_each_link_of_the_front_pages_leads_somewhere(page: Path) -> None:
    """The pages beside docs/, too, link to what is there."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [one for one in targets if not re.match(r"[a-z]+:", one) and not (ROOT / one).exists()] == []


@pytest.mark.parametrize("picture", PICTURES, ids=name)
def test_each_picture_is_shown_and_told(picture: Path) -> None:
    """A picture has a title and a description in it, is on a page, and has a text for those who don't see it."""
    root = ET.parse(picture).getroot()  # noqa: S314 -- our own file
    assert root.findtext(f"{SVG}title")
    assert root.findtext(f"{SVG}desc")
    shown = re.compile(rf"!\[[^\]]{{20,}}\]\([^)]*images/{picture.name}\)")
    assert any(shown.search(page.read_text(encoding="utf-8")) for page in PAGES)
