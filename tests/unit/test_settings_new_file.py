"""`bridge init`: the file that it writes."""

import re
import tomllib
from pathlib import Path

import pytest

from bridge.commands.preparing.settings_file import write_settings_file
from bridge.errors import CommandFailed
from bridge.settings import Settings, load, template
from bridge.settings.sources import PREFIX, variables


def usable(text: str, directory: Path) -> Path:
    """A file with the text, whose password exists."""
    (directory / "password").write_text("secret")
    file = directory / "bridge.toml"
    file.write_text(text.replace("/run/secrets/web-services", "password"))
    return file


def test_the_file_is_one_that_the_bridge_reads(tmp_path: Path) -> None:
    """As written, the file has what is required and changes no default; so it does with every default uncommented."""
    text = template()
    as_written = load(usable(text, tmp_path), {})
    assert as_written.web_services.url == "https://web-services.example.com"
    required = {"web_services": {"url", "username", "password"}, "kafka": {"bootstrap_servers"}}
    for section, names in required.items():
        assert getattr(as_written, section).model_fields_set - {"registry"} == names
    with_defaults = re.sub(r'^# (\w+ = (?!"").+)$', r"\1", text, flags=re.MULTILINE)
    assert with_defaults.count("\n# ") < text.count("\n# ")
    assert load(usable(with_defaults, tmp_path), {}) == as_written


def test_every_setting_is_in_the_file() -> None:
    """Each setting has a line, under its section; a secret has the line of its file."""
    lines = re.sub(r"^# (\w+ = .*|\[\[accounts\]\])$", r"\1", template(), flags=re.MULTILINE)
    document = tomllib.loads(lines)
    document["accounts"] = document["accounts"][0]
    for name, (location, kind) in variables(Settings).items():
        if kind is dict or f"{name}_FILE" in variables(Settings) or name == f"{PREFIX}ACCOUNTS":
            continue
        place = document
        for part in location:
            assert part in place, name
            place = place[part]


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    """The file is for its owner alone, since it may get a password; one that exists stays as it is."""
    file = tmp_path / "bridge.toml"
    assert str(file) in write_settings_file(file)
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("mine")
    with pytest.raises(CommandFailed, match="exists"):
        write_settings_file(file)
    assert file.read_text() == "mine"
    with pytest.raises(CommandFailed, match="No such file"):
        write_settings_file(tmp_path / "none" / "bridge.toml")
