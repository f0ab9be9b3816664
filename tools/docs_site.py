"""What the documentation site takes from outside docs/; a hook of mkdocs."""

import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

# Page -> the file of the repository that it shows.
PAGES = {
    "index.md": "README.md",
    "datasets.md": "datasets/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "plugins.md": "examples/plugin/README.md",
}
_LINK = re.compile(r"(\]\()(?!https?:|#)([^)#]*)")
_CODE_BLOCK = re.compile(r"\.\. code-block:: \w+\n")
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc|obj):`~?\.*([^`]+)`")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of :data:`PAGES`, their links pointing to pages."""
    root = Path(config.config_file_path).parent
    shown = {(root / source).resolve(): page for page, source in PAGES.items()}
    for page, source in PAGES.items():
        folder = (root / source).parent

        def target(match: re.Match[str], folder: Path = folder) -> str:
            path = (folder / match[2]).resolve()
            inside = path.is_relative_to(config.docs_dir)
            named = path.relative_to(config.docs_dir).as_posix() if inside else match[2]
            return match[1] + shown.get(path, named)

        content = _LINK.sub(target, (root / source).read_text("utf-8"))
        files.append(File.generated(config, page, content=content))
    return files


class PlainRoles(griffe.Extension):
    """Shows the roles and code blocks of docstrings in reStructuredText as Markdown's code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is not None:
            text = _ROLE.sub(r"`\1`", _CODE_BLOCK.sub("", obj.docstring.value))
            obj.docstring.value = text.replace("``", "`")
