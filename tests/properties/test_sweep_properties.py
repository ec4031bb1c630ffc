"""The sweep of an OCI layout: what a kept tag reaches stays, and the rest fits the budget."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dockyard.caches.layout import INDEX_TYPE, MANIFEST_TYPE, BlobError, Descriptor, Layout
from dockyard.caches.sweep import USED_ANNOTATION, apply_sweep, last_used, plan_sweep
from support.layouts import LAYER_TYPE, descriptor_of


def fill(root: Path, data: st.DataObject) -> tuple[Layout, list[Descriptor]]:
    """Make a layout at random: blobs, manifests of them, indexes of these, tags on any of them."""
    shutil.rmtree(root, ignore_errors=True)
    layout = Layout(root)
    layout.blobs_folder.mkdir(parents=True)
    made: list[Descriptor] = []

    def store(content: bytes, media_type: str) -> None:
        one = descriptor_of(content, media_type)
        layout.blob_path(one.digest).write_bytes(content)
        made.append(one)

    for number in range(data.draw(st.integers(0, 5))):
        store(bytes([number]) * data.draw(st.integers(1, 100)), LAYER_TYPE)
    for number in range(data.draw(st.integers(0, 5))):
        below = data.draw(st.lists(st.sampled_from(made), max_size=4)) if made else []
        kind = data.draw(st.sampled_from([INDEX_TYPE, MANIFEST_TYPE]))
        key = "manifests" if kind == INDEX_TYPE else "layers"
        text = json.dumps({"number": number, key: [one.as_json() for one in below]})
        store(text.encode(), kind)
    manifests = [one for one in made if one.is_manifest]
    tags = data.draw(
        st.dictionaries(
            st.sampled_from("abcd"),
            st.tuples(
                st.sampled_from(manifests), st.sampled_from(["", "x", "nan", "1", "2", "3e9"])
            ),
        )
        if manifests
        else st.just({})
    )
    layout.replace_index(
        {tag: one.annotated({USED_ANNOTATION: used}) for tag, (one, used) in tags.items()}
    )
    fate = st.sampled_from(["whole"] * 12 + ["missing", "damaged", "cut"])
    fates = data.draw(st.lists(fate, min_size=len(made), max_size=len(made)))
    for one in made:
        match fates.pop():
            case "missing":
                layout.blob_path(one.digest).unlink(missing_ok=True)
            case "damaged" if one.is_manifest:
                layout.blob_path(one.digest).write_bytes(b"x" * one.size)
            case "cut" if one.is_manifest:
                layout.blob_path(one.digest).write_bytes(b"")
    return layout, made


def reached(layout: Layout) -> dict[str, set[str]]:
    """What each tag needs; a tag whose manifests cannot be read is left out."""
    found = {}
    for tag, descriptor in layout.index().items():
        try:
            found[tag] = {one.digest for one in layout.reachable(descriptor)}
        except BlobError:
            continue
    return found


@given(st.data(), st.integers(0, 2000), st.none() | st.floats(0, 4e9))
def test_what_a_kept_tag_reaches_is_never_removed(
    scratch: Path, data: st.DataObject, budget: int, oldest: float | None
) -> None:
    layout, made = fill(scratch / "layout", data)
    held = frozenset(
        one.digest
        for one in (data.draw(st.lists(st.sampled_from(made), max_size=2)) if made else [])
    )
    before, tags = reached(layout), layout.index()
    there = {digest for digest, _ in layout.blobs()}
    swept = plan_sweep(layout, budget, held, oldest)
    assert {digest for digest, _ in layout.blobs()} == there
    assert layout.index() == tags
    apply_sweep(layout, swept)

    kept = layout.index()
    left = {digest for digest, _ in layout.blobs()}
    assert kept.keys() == tags.keys() - set(swept.tags)
    assert kept.keys() <= before.keys()
    assert reached(layout) == {tag: before[tag] for tag in kept}
    needed = {digest for tag in kept for digest in before[tag]}
    assert left == there & (needed | held)
    sizes = {one.digest: one.size for one in made}
    assert sum(sizes[one] for one in needed) <= budget or not kept
    if oldest is not None:
        assert all(last_used(one) >= oldest for one in kept.values())
    # Nothing that would have stayed goes, and a second sweep finds nothing.
    again = plan_sweep(layout, budget, held, oldest)
    assert (again.tags, again.blobs, again.bytes) == ((), (), 0)
