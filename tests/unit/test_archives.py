"""Archives are unpacked into their folder and nowhere else, whichever Python there is."""

from __future__ import annotations

import contextlib
import io
import tarfile
from pathlib import Path

import pytest

from dockyard.archives import extract

CONTENT = b"content"


@pytest.fixture(params=["with filters", "without filters"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where archives go; also by a Python before 3.11.4."""
    if request.param == "without filters":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    return tmp_path / "folder"


def archive(*members: tarfile.TarInfo) -> io.BytesIO:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for one in members:
            one.size = len(CONTENT) if one.isreg() else 0
            tar.addfile(one, io.BytesIO(CONTENT) if one.isreg() else None)
    written.seek(0)
    return written


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, 0o755
    return made


def test_files_folders_and_links_arrive_from_a_stream(folder: Path) -> None:
    members = (
        member("./blobs", tarfile.DIRTYPE),
        member("./blobs/one"),
        member("./blobs/two", tarfile.LNKTYPE, "./blobs/one"),
    )
    with tarfile.open(fileobj=archive(*members), mode="r|") as tar:
        extract(tar, folder)
    assert {path.name for path in (folder / "blobs").iterdir()} == {"one", "two"}
    assert (folder / "blobs/two").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "harmful",
    [
        member("../outside"),
        member("within/../../outside"),
        member("link", tarfile.LNKTYPE, "../outside"),
    ],
    ids=lambda one: f"{one.name} {one.linkname}".strip(),
)
def test_what_would_leave_the_folder_is_refused(folder: Path, harmful: tarfile.TarInfo) -> None:
    with (
        tarfile.open(fileobj=archive(member("kept"), harmful), mode="r|") as tar,
        pytest.raises(tarfile.TarError),
    ):
        extract(tar, folder)
    assert not (folder.parent / "outside").exists()


def test_an_absolute_path_writes_nothing_there(folder: Path) -> None:
    outside = folder.parent / "outside"
    with (
        tarfile.open(fileobj=archive(member(str(outside))), mode="r|") as tar,
        # One Python refuses it, another takes it for a path within the folder.
        contextlib.suppress(tarfile.TarError),
    ):
        extract(tar, folder)
    assert not outside.exists()
