"""The hunter finds what is planted, however it is written: else “none found” would say nothing."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import sqlite3
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from support.hunting import Hunter, finds_in
from support.planted import Planted, basic, plant

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLACES = plant(["index", "registry"])
SECRET = PLACES["index"]
PLAIN = SECRET.secret.encode()
FILLER = b"0123456789" * 200


def forms(content: bytes) -> set[str]:
    found = list(finds_in(content, "here", PLACES.values()))
    assert {one.place for one in found} <= {"index"}, "the other secret was not planted"
    return {one.form for one in found}


WRITTEN: Mapping[str, tuple[bytes, str]] = {
    "as it is": (PLAIN, "plain"),
    "in a URL": (f"http://{SECRET.pair}@host/simple".encode(), "quoted"),
    "in JSON": (json.dumps({"password": SECRET.secret}).encode(), "plain"),
    "a mask took the rest of": (SECRET.core.encode() + b"***", "plain"),
    "as Docker keeps a login": (basic(SECRET.user, SECRET.secret).encode(), "basic"),
    "in base64": (base64.b64encode(PLAIN), "base64"),
    "in base64, one byte on": (base64.b64encode(b"x" + PLAIN + b"y"), "base64"),
    "in base64, two bytes on": (base64.b64encode(b"xx" + PLAIN), "base64"),
    "in base64 of an attestation": (base64.b64encode(FILLER + PLAIN + FILLER), "base64"),
    "in hexadecimal": (PLAIN.hex().encode(), "hex"),
    "in capital hexadecimal": (PLAIN.hex().upper().encode(), "hex"),
}


@pytest.mark.parametrize(("content", "form"), WRITTEN.values(), ids=WRITTEN)
def test_a_secret_is_found_as_it_may_be_written(content: bytes, form: str) -> None:
    assert form in forms(FILLER + content + FILLER)


def test_a_secret_in_pieces_or_another_one_is_not_found() -> None:
    assert forms(PLAIN[:12] + b" " + PLAIN[12:]) == set()
    assert forms(plant(["other"])["other"].secret.encode()) == set()
    assert forms(FILLER) == set()


def test_secrets_are_unique_and_hard_to_mask() -> None:
    planted = plant(map(str, range(50)), {"7": ""})
    assert len({one.core for one in planted.values()}) == 50
    assert planted["7"].secret == planted["7"].core
    assert quote(planted["8"].secret, safe="") != planted["8"].secret


def tar_of(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def zip_of(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def database_of(content: bytes) -> bytes:
    database = sqlite3.connect(":memory:")
    database.execute("create table kept (value text)")
    # Longer than a page: on disk it is divided.
    database.execute("insert into kept values (?)", (("x" * 4_070) + content.decode("latin-1"),))
    database.commit()
    whole = database.serialize()
    database.close()
    return whole


PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    "a file": lambda content: content,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "a tar file": lambda content: tar_of("etc/kept", content),
    "a layer": lambda content: gzip.compress(tar_of("etc/kept", content)),
    "a layer by zstd": lambda content: zstd.compress(tar_of("etc/kept", content)),
    "a wheel": lambda content: zip_of("package/kept.py", content),
    "a wheel in a layer": lambda content: zstd.compress(tar_of("w.whl", zip_of("k.py", content))),
    "a layer in a saved image": lambda content: tar_of("b/1", gzip.compress(tar_of("k", content))),
    "a database": database_of,
    "a damaged layer": lambda content: gzip.compress(content)[:-6],
    "a damaged layer by zstd": lambda content: zstd.compress(content + os.urandom(300_000))[:-6],
    "two members of gzip": lambda content: gzip.compress(FILLER) + gzip.compress(content),
}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_secret_is_found_in_whatever_holds_it(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    content = pack(FILLER + PLAIN + FILLER)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/kept").write_bytes(content)
    (tmp_path / "clean").write_bytes(pack(FILLER))
    hunter = Hunter(tuple(PLACES.values()))
    hunter.search_folder("files", tmp_path)
    assert {one.place for one in hunter.found} == {"index"}
    assert all(one.where.startswith(str(tmp_path / "deep/kept")) for one in hunter.found)
    assert hunter.kinds == {"files": 2}


def test_files_that_secrets_were_planted_in_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(PLAIN)
    hunter = Hunter(tuple(PLACES.values()), frozenset({tmp_path / ".env"}))
    hunter.search_folder("files", tmp_path)
    assert not hunter.found
    assert hunter.kinds == {}


def test_a_secret_in_a_files_name_is_found(tmp_path: Path) -> None:
    (tmp_path / SECRET.core).mkdir()
    hunter = Hunter(tuple(PLACES.values()))
    hunter.search_folder("files", tmp_path)
    assert [one.place for one in hunter.found] == ["index"]
    assert SECRET.place in hunter.report()


def test_a_tar_file_is_searched_as_it_comes() -> None:
    hunter = Hunter(tuple(PLACES.values()))
    hunter.search_tar("state", io.BytesIO(tar_of("content/1", gzip.compress(PLAIN))))
    assert next((one.place, one.form) for one in sorted(hunter.found)) == ("index", "plain")
    assert hunter.kinds == {"state": 1}


def test_what_a_url_decodes_to_is_the_secret() -> None:
    one = Planted("a", "core", "/@")
    assert one.pair == "reader:core%2F%40"
