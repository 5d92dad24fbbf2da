"""The documentation: Markdown of the checkout, with everything that it links to."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import unquote

_LINK = re.compile(r"(\]\()([^()\s]+)(\))")
# In its place the site's own pages stand, which are made of the same reports.
RESULTS = "docs/results/README.md"
_INSTEAD = """# Loaders, measured

The tables of the reports are [the first page](../../index.page) of this site, and its
[loaders](../../loaders/index.page) and [causes](../../causes/index.page).
"""
FIRST = ("first-verdict", "mlx-lm", "gate", "subjects", "protocol", "policies", "levels", "vectors", "survey", "site")


def copy(root: Path, folder: Path) -> list[str]:
    """Copy README, docs, and what they name, into ``folder``; returns the pages without suffix, guides first."""
    waiting = [root / "README.md", *(root / f"docs/{name}.md" for name in FIRST), *sorted((root / "docs").glob("*.md"))]
    waiting += [root / name for name in ("examples/reproductions/README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    found: list[str] = []
    seen: set[Path] = set()
    while waiting:
        file = waiting.pop(0)
        name = file.relative_to(root).as_posix()
        if file in seen or not file.exists():
            continue
        seen.add(file)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix != ".md":
            shutil.copyfile(file, target)
            continue
        found.append(name.removesuffix(".md"))
        if name == RESULTS:
            target.write_text(_INSTEAD, encoding="utf-8")
            continue
        text, linked = _followed(file, root)
        target.write_text(text, encoding="utf-8")
        waiting += linked
    return found


def _followed(file: Path, root: Path) -> tuple[str, list[Path]]:
    """The text, with a folder's README in place of the folder, and the files of the checkout that it links to."""
    linked: list[Path] = []

    def one(found: re.Match[str]) -> str:
        path, hash, heading = found[2].partition("#")
        if not path or "://" in path:
            return found[0]
        target = (file.parent / unquote(path)).resolve()
        if target.is_dir():
            path, target = f"{path.rstrip('/')}/README.md", target / "README.md"
        if target.is_file() and target.is_relative_to(root):
            linked.append(target)
        return f"{found[1]}{path}{hash}{heading}{found[3]}"

    return _LINK.sub(one, file.read_text(encoding="utf-8")), linked
