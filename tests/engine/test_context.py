"""What is in the context, compared with what BuildKit itself receives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dockyard.context import list_context, read_dockerignore
from dockyard.errors import ProjectError
from support.engine import DockerError, docker

FILES = (
    ".env",
    ".git/HEAD",
    ".git/objects/ab/cdef",
    "!odd",
    "#hash",
    "README.md",
    "a^b",
    "a+b.txt",
    "barfoo",
    "docs/README.md",
    "docs/deep/er/README.md",
    "docs/index.rst",
    "foo",
    "foobar/x",
    "name with blank.txt",
    "src/.env",
    "src/app/__init__.py",
    "src/app/__pycache__/app.cpython-313.pyc",
    "src/app/data/one.csv",
    "src/app/data/two.csv",
    "src/app/main.py",
    "src/app/old.pyc",
    "src/other/main.py",
    "src/other/näme.py",
    "x/a/x/a/file",
    "x/b",
    "y[1].txt",
    "y1.txt",
)

IGNORES = {
    "nothing": "",
    "comments-and-blanks": "# foo\n\n  \n #hash\nfoo   \n",
    "comment-needs-the-first-column": " # foo\nfoo",
    "byte-order-mark": "\ufefffoo\n",
    "carriage-returns": "foo\r\nx\r\n",
    "trailing-and-leading-blanks": "  foo  \n\tx\t\n",
    "leading-slash": "/foo\n/src/app\n",
    "only-a-slash": "/\n",
    "dot": ".\n",
    "dot-slash": "./foo\n./src/./app/../other\n",
    "double-slash": "//foo\nsrc//app\n",
    "trailing-slash": "foo/\nsrc/\n",
    "outside": "../foo\n",
    "star": "*\n",
    "star-does-not-cross": "src/*.py\n*.md\n",
    "star-in-a-folder": "src/*/main.py\n",
    "question-mark": "fo?\n?/b\n",
    "class": "y[0-9].txt\n[xf]oo\n",
    "negated-class": "[^f]oo\n[^a-z]*\n",
    "class-with-star": "[*]*\n",
    "escaped": "y\\[1\\].txt\n\\#hash\n\\!odd\n",
    "special-characters": "a+b.txt\na^b\n",
    "caret-with-star": "a^*\n",
    "star-star": "**\n",
    "star-star-name": "**/main.py\n**/README.md\n",
    "star-star-name-at-top": "**/foo\n",
    "star-star-joined": "**foo\n",
    "star-star-joined-with-star": "**oo*\n",
    "name-star-star": "src/**\n",
    "name-joined-star-star": "foo**\n",
    "star-star-in-the-middle": "src/**/main.py\ndocs/**/README.md\n",
    "star-star-both": "**/app/**\n",
    "three-stars": "***\n",
    "star-star-star-suffix": "**/*.py\n",
    "star-star-class": "**/*.py[co]\n",
    "folder": "src/app\n.git\n",
    "re-included-file": "src\n!src/app/main.py\n",
    "re-included-folder": "*\n!src\n",
    "re-included-below-star-star": "**\n!src/app/**\n",
    "re-included-star": "src\n!src/*/main.py\n",
    "re-included-suffix": "*\n!**/*.md\n",
    "re-included-then-excluded": "*\n!src\nsrc/app\n**/.env\n",
    "the-same-twice": "src\n!src/app\nsrc\n",
    "parent-again": "src/app\n!src/app/main.py\nsrc\n!src/other\n",
    "order-matters": "!foo\nfoo\nx\n!x/b\n",
    "inclusion-first": "!src/app/main.py\nsrc\n",
    "blank-after-the-sign": "*\n! foo\n! /src/app\n",
    "sign-twice": "*\n!!odd\n",
    "slash-before-the-sign": "*\n/!foo\n",
    "allowlist": "**\n!src\n!README.md\n**/__pycache__\n**/*.py[co]\n",
    "nested-allowlist": "*\n!src\nsrc/*\n!src/app\nsrc/app/*\n!src/app/data\n",
    "re-included-with-escape": "*\n!y\\[1\\].txt\n",
    "re-included-parent-dot": "*\n!.\n",
    "folder-repeats": "x/a\n!x/a/x/a/file\n",
    "accents": "**/n?me.py\n",
    "blanks-inside": "name with blank.txt\n",
    "lonely-sign-at-the-end-of-a-name": "foo!\nfoobar\n",
}
MALFORMED = {
    "lone-sign": "!\n",
    "sign-and-slash": "!/\n",
    "open-class": "a[\n",
    "empty-class": "a[]\n",
    "class-of-a-bracket": "a[]b]\n",
    "backslash-at-the-end": "foo\\\n",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("context")
    for name in FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "link").symlink_to("src")
    (root / "dangling").symlink_to("nowhere")
    return root


def received(tree: Path, text: str, folder: Path) -> set[str]:
    """Return the paths of the files that BuildKit copies from the whole context."""
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /\n")
    (folder / "Dockerfile.dockerignore").write_bytes(text.encode())
    output = folder / "output"
    output.mkdir()
    destination = f"type=local,dest={output}"
    docker("buildx", "build", "--file", str(dockerfile), "--output", destination, str(tree))
    paths = (path for path in output.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(output).as_posix() for path in paths}


@pytest.mark.parametrize("text", IGNORES.values(), ids=IGNORES)
def test_the_listing_is_what_buildkit_receives(tree: Path, tmp_path: Path, text: str) -> None:
    expected = received(tree, text, tmp_path)
    # What is read is the file that BuildKit has read.
    listing = list_context(tree, read_dockerignore(tree, tmp_path / "Dockerfile"))
    assert {entry.path for entry in listing.entries} == expected
    assert listing.excluded_files == len(FILES) + 2 - len(expected)


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_what_buildkit_refuses_is_refused(tree: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(DockerError):
        received(tree, text, tmp_path)
    with pytest.raises(ProjectError, match="line 1"):
        list_context(tree, text)


def test_sockets_and_pipes(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "file").write_text("x")
    script = "import os, socket; os.mkfifo('pipe'); socket.socket(socket.AF_UNIX).bind('socket')"
    subprocess.run(["python3", "-c", script], cwd=root, check=True)
    expected = received(root, "", tmp_path)
    assert {entry.path for entry in list_context(root, "").entries} == expected
