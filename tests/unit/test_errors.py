from __future__ import annotations

import ast
import re
from pathlib import Path

from bridge import errors

PACKAGE = Path(errors.__file__).parent


def tree(root: type[errors.BridgeError], depth: int = 0) -> list[tuple[int, type[errors.BridgeError]]]:
    branches = [one for one in root.__subclasses__() if one.__module__ == errors.__name__]
    return [(depth, root)] + [found for branch in branches for found in tree(branch, depth + 1)]


TREE = tree(errors.BridgeError)


def test_codes_are_distinct() -> None:
    """Each error has a code of its own, in lower case with hyphens: it stands in URLs, logs and metrics."""
    codes = [vars(error).get("code") for _, error in TREE]
    assert len(set(codes)) == len(codes)
    for code in codes:
        assert code is not None
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)


def test_drawing_is_the_tree() -> None:
    """The drawing in the module's docstring shows every class, at its place, with a word of explanation."""
    drawn = re.findall(r"^    ((?:[│├└─ ]{4})*)([A-Z]\w+)(.*)$", errors.__doc__ or "", re.MULTILINE)
    assert [(len(indent) // 4, name) for indent, name, _ in drawn] == [(depth, error.__name__) for depth, error in TREE]
    assert all(text.strip() for _, name, text in drawn if name != "BridgeError")


def test_codes_are_given_in_the_tree_only() -> None:
    """No other module gives a code: there is one place to look for what callers, logs and metrics may show.

    A package may refine an error for its own use, as long as it goes by its parent's code.
    """
    names = {error.__name__ for _, error in TREE}
    strays = [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and names & {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        if any(
            isinstance(target, ast.Name) and target.id == "code"
            for line in node.body
            if isinstance(line, ast.Assign | ast.AnnAssign)
            for target in (line.targets if isinstance(line, ast.Assign) else [line.target])
        )
    ]
    assert strays == []
