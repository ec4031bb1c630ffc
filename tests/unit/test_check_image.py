"""What checks make of an image's layers and configuration."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from dockyard.checks.base_listings import forget_other_listings, remembered_listing
from dockyard.checks.contents import CHUNK, FileEntry, LayerContents, read_layer
from dockyard.checks.export import decoded, stages_to_run
from dockyard.checks.image import compilers, is_root, uv_files, wasted
from dockyard.checks.secret_shapes import secret_form, secret_variable
from dockyard.checks.secrets import configuration_secrets, declared_secrets
from dockyard.dockerfile_syntax import parse_dockerfile

SECRET = "dockyard-planted-0123"


def layer(
    files: Mapping[str, int], *removed: str, base: bool = False, by: str = "RUN x", mode: int = 0
) -> LayerContents:
    entries = {path: FileEntry(size, bool(mode & 1)) for path, size in files.items()}
    return LayerContents(by, base, entries, removed)


def tar_of(members: Mapping[str, bytes], mode: int = 0o644) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    stream.seek(0)
    return stream


def read(members: Mapping[str, bytes], *, by: str = "RUN x", base: bool = False) -> LayerContents:
    return read_layer(tar_of(members), created_by=by, base=base, secrets=(SECRET,))


# -------------------- wasted bytes


def test_what_a_later_layer_overwrites_or_removes_is_wasted_once() -> None:
    found = wasted(
        [
            layer({"a": 10, "b": 20, "folder/c": 30, "folder/d": 5, "kept": 99}),
            layer({"a": 11}, "folder"),
            layer({"folder/c": 1}, "b", by="RUN rm b"),
        ]
    )
    assert [(one.path, one.bytes) for one in found] == [
        ("folder/c", 30),
        ("b", 20),
        ("a", 10),
        ("folder/d", 5),
    ]
    assert found[1].hidden_by == "RUN rm b"


def test_a_name_that_begins_like_a_removed_folder_is_another() -> None:
    assert wasted([layer({"data-2/x": 7}), layer({}, "data")]) == []
    assert wasted([layer({"data/x": 7}), layer({}, "data/")])[0].bytes == 7


def test_what_the_base_hides_of_itself_is_not_ours() -> None:
    base = [layer({"a": 10}, base=True), layer({"a": 11}, base=True)]
    assert wasted(base) == []
    assert [one.bytes for one in wasted([*base, layer({}, "a")])] == [11]


# -------------------- reading a layer


def test_a_layer_is_read_with_its_whiteouts() -> None:
    found = read({"./opt/.wh.gone": b"", "opt/x/.wh..wh..opq": b"", "opt/x/file": b"abc"})
    assert found.removed == ("opt/gone", "opt/x/")
    assert found.files == {"opt/x/file": FileEntry(3)}


def test_a_planted_secret_is_found_across_the_pieces_of_a_large_file() -> None:
    content = b"x" * (CHUNK - 5) + SECRET.encode() + b"y" * CHUNK
    assert read({"big": content}).suspicious == {"big": "a secret of the build"}


@pytest.mark.parametrize(
    ("path", "content", "what"),
    [
        ("app/.env", b"A=1", "an .env file"),
        ("app/.env.production", b"A=1", "an .env file"),
        ("root/.netrc", b"machine", "a .netrc file"),
        ("app/key.txt", b"-----BEGIN RSA PRIVATE KEY-----\nMIIE", "a private key"),
        ("app/c.py", b"k = 'AKIAABCDEFGHIJKLMNOP'", "an AWS access key"),
        ("app/c.py", b"ghp_" + b"a" * 36, "a GitHub token"),
        ("home/x/.aws/credentials", b"", "AWS credentials"),
    ],
)
def test_what_looks_like_a_secret_is_named(path: str, content: bytes, what: str) -> None:
    assert read({path: content}).suspicious == {path: what}
    assert read({path: content}, base=True).suspicious == {}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("app/.env.example", b"A=1"),
        ("app/environment.py", b"AKIA is a prefix"),
        ("app/parser.py", b'"-----BEGIN PRIVATE KEY-----" in text'),
        ("app/id_rsa.py", b""),
    ],
)
def test_what_only_speaks_of_secrets_is_none(path: str, content: bytes) -> None:
    assert read({path: content}).suspicious == {}


def test_in_packages_of_an_index_only_our_own_secrets_count() -> None:
    key = b"-----BEGIN PRIVATE KEY-----\nMIIE"
    path = "opt/venv/lib/python3.13/site-packages/tornado/test/test.key"
    by = "COPY /dependencies-2/ / # buildkit"
    assert read({path: key}, by=by).suspicious == {}
    assert read({path: SECRET.encode()}, by=by).suspicious == {path: "a secret of the build"}
    assert read({path: key}).suspicious == {}, "installed in another way, it is public as well"
    assert read({path: key}, by="COPY /project/ / # buildkit").suspicious != {}


def test_a_base_layer_is_read_once(tmp_path: Path) -> None:
    whole = layer({"bin/sh": 5}, "gone", base=True, by="ADD rootfs", mode=1)
    asked = []

    def read() -> LayerContents:
        asked.append(1)
        return whole

    for _ in range(2):
        assert remembered_listing(tmp_path, "sha256:a", "ADD rootfs", read) == whole
    assert len(asked) == 1
    (kept,) = (tmp_path / ".dockyard/base-layers").iterdir()
    kept.write_text("{}")
    assert remembered_listing(tmp_path, "sha256:a", "ADD rootfs", read) == whole
    assert len(asked) == 2, "a damaged file is none"
    forget_other_listings(tmp_path, ["sha256:a"])
    assert kept.exists()
    forget_other_listings(tmp_path, ["sha256:b"])
    assert not kept.exists()


# -------------------- tools


def test_uv_is_found_as_a_program_and_as_a_cache() -> None:
    program = layer({"usr/local/bin/uv": 1, "app/uv/__init__.py": 1}, mode=1)
    messages = [str(one) for one in uv_files([program], wanted=False)]
    assert len(messages) == 1
    assert messages[0].startswith("/usr/local/bin/uv is in the image")
    cache = layer({"root/.cache/uv/wheels-v5/x": 1, "root/.cache/uv/simple/y": 1})
    assert [str(one).partition(",")[0] for one in uv_files([cache], wanted=False)] == [
        "uv's cache /root/.cache/uv/ is in the image"
    ]
    removed = layer({}, "usr/local/bin/uv")
    assert uv_files([program, removed], wanted=False) == []


def test_uv_that_a_package_brings_is_wanted() -> None:
    venv = layer({"opt/venv/bin/uv": 1}, mode=1)
    assert uv_files([venv], wanted=True) == []
    assert len(uv_files([venv], wanted=False)) == 1


def test_compilers_are_found_among_programs_alone() -> None:
    names = ("usr/bin/gcc", "usr/bin/x86_64-linux-gnu-g++-14", "usr/libexec/gcc/x/14/cc1")
    assert len(compilers([layer(dict.fromkeys(names, 1), mode=1)])) == 3
    others = ("app/gcc", "usr/bin/gcc-notes", "usr/share/doc/cc", "usr/bin/got", "usr/bin/c_rehash")
    assert compilers([layer(dict.fromkeys(others, 1), mode=1)]) == []
    assert compilers([layer({"usr/bin/gcc": 1})]) == [], "it cannot be executed"


@pytest.mark.parametrize(
    ("user", "root"),
    [
        ("", True),
        ("root", True),
        ("0:10", True),
        ("root:x", True),
        ("10001:0", False),
        ("me", False),
    ],
)
def test_root_is_known_by_all_its_names(user: str, root: bool) -> None:
    assert is_root(user) is root


# -------------------- variables, labels, history


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("API_TOKEN", "", True),
        ("PASSWORD", "x", True),
        ("AWS_SECRET_ACCESS_KEY", "x", True),
        ("TOKENIZER", "x", False),
        ("DB_PASSWORD_FILE", "/run/x", False),
        ("PUBLIC_KEY", "x", False),
        ("SECRET", "/run/secrets/x", False),
        ("KEYBOARD", "x", False),
    ],
)
def test_a_variable_is_judged_by_the_words_of_its_name(name: str, value: str, secret: bool) -> None:
    assert secret_variable(name, value) is secret


def test_declared_secrets_are_named_by_their_lines() -> None:
    stages = parse_dockerfile(
        "FROM x AS one\nARG API_TOKEN\nENV A=1 DB_PASSWORD=hunter2\nFROM y\n"
        "ENV SECRET_KEY old form\nARG CA_DIGEST=\n"
    )
    found = list(declared_secrets(stages, "Dockerfile"))
    assert [(one.line, one.message.partition(":")[0]) for one in found] == [
        (2, "ARG API_TOKEN"),
        (3, "ENV DB_PASSWORD"),
        (5, "ENV SECRET_KEY"),
    ]
    assert "hunter2" not in str(found)


def test_a_configuration_is_searched_and_its_secrets_are_not_repeated() -> None:
    config = {
        "config": {
            "Env": ["GPG_KEY=of-the-base", "API_KEY=mine", "PATH=/bin"],
            "Labels": {"note": f"x {SECRET}"},
        },
        "history": [{"created_by": f"RUN |1 A={SECRET} /bin/sh -c true"}, {"created_by": "COPY x"}],
    }
    inherited = {"config": {"Env": ["GPG_KEY=of-the-base"]}}
    messages = [str(one) for one in configuration_secrets(config, inherited, (SECRET,))]
    assert len(messages) == 3
    assert "API_KEY" in messages[0]
    assert "label note" in messages[1]
    assert "history's entry of RUN" in messages[2]
    assert not any(SECRET in one or "mine" in one for one in messages)


def test_an_attestation_is_read_with_the_files_in_it() -> None:
    import base64

    held = base64.b64encode(f"FROM x\nRUN echo {SECRET} > /there\n".encode()).decode()
    assert SECRET in decoded(f'{{"data": "{held}"}}')
    assert secret_form(b"nothing of it") is None


def test_own_stages_that_mount_a_secret_run_again() -> None:
    mount = "RUN --mount=type=secret,id=uv-environment install-layer x\n"
    text = (
        f"FROM a AS plan\nRUN true\nFROM a AS dependencies-1\n{mount}FROM a AS dependencies-2\n"
        f"{mount}FROM a AS own\n{mount}"
    )
    assert stages_to_run(parse_dockerfile(text)) == ("own",)
