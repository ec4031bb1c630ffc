"""Which images that a build starts from differ from those of an earlier one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dockyard.explain_model import CauseKind, Detail, Reason
from dockyard.explain_settings import SettingChange, setting_reason
from dockyard.explain_steps import builds_on_base, counted, stages_taken, target_platform

if TYPE_CHECKING:
    from dockyard.record_parts import StepRecord
    from dockyard.records import BuildRecord

__all__ = ["ImageChanges"]

_FROM = re.compile(r"(?:FROM |docker-image://)(\S+?)(?:@(sha256:[0-9a-f]{64}))?$")
# Enough digits of a digest to tell two apart.
_SHOWN = 12


def _image(step: StepRecord) -> tuple[str, str | None] | None:
    match = _FROM.fullmatch(step.instruction) if step.kind == "image" else None
    return (match[1], match[2]) if match else None


class ImageChanges:
    """Compares the images of an earlier and a later build, stage by stage."""

    def __init__(
        self, before: BuildRecord, after: BuildRecord, settings: Mapping[str, SettingChange]
    ) -> None:
        self._record = after
        self._settings = settings
        self._before: dict[tuple[str | None, str | None], tuple[str, str | None]] = {}
        self._by_name: dict[str, set[str | None]] = {}
        for step in before.steps:
            if image := _image(step):
                self._before[(step.stage, target_platform(step))] = image
                self._by_name.setdefault(image[0], set()).add(image[1])

    def of(self, position: int) -> Iterator[Reason]:
        """Blame the images that a step starts from or takes files of, where they are others now."""
        for number in self._images(position):
            step = self._record.steps[number]
            later = _image(step)
            earlier = self._before.get((step.stage, target_platform(step)))
            if later is None or later == earlier:
                continue
            if earlier is None:
                digests = self._by_name.get(later[0])
                # A stage may only be called differently.
                if digests is None or later[1] in digests:
                    continue
                earlier = (later[0], next(iter(digests)))
            if reason := self._reason(earlier, later):
                yield reason

    def _images(self, position: int) -> Iterator[int]:
        """List the image steps that a step depends on immediately."""
        steps = self._record.steps
        step = steps[position]
        if any(one.inputs for one in steps):
            seen, left = {position}, list(step.inputs)
            while left:
                one = left.pop()
                if one in seen or not 0 <= one < len(steps):
                    continue
                seen.add(one)
                if steps[one].kind == "image":
                    yield one
                elif not counted(steps[one]):
                    left += steps[one].inputs
            return
        stages = set(stages_taken(step)) | ({step.stage} if builds_on_base(step) else set())
        for number, other in enumerate(steps):
            if other.kind == "image" and other.stage in stages:
                yield number

    def _reason(
        self, earlier: tuple[str, str | None], later: tuple[str, str | None]
    ) -> Reason | None:
        (old, old_digest), (new, new_digest) = earlier, later
        if old_digest == new_digest and old_digest is not None:
            return None
        setting = self._settings.get(self._argument(new).lower())
        if setting:
            return setting_reason(setting)
        digests = f"{_short(old_digest)} → {_short(new_digest)}"
        if old == new:
            text = f"base image {new} moved: {digests}"
        else:
            text = f"base image {old} → {new}: {digests}"
        return Reason(CauseKind.BASE_IMAGE, new, (Detail(text),))

    def _argument(self, name: str) -> str:
        """Name the build argument that an image was given by; empty where it was by none."""
        for one in self._record.base_images:
            resolved = str(one.get("resolved") or "").partition("@")[0]
            if resolved and (name == resolved or name.endswith(f"/{resolved}")):
                return str(one.get("argument") or "")
        return ""


def _short(digest: str | None) -> str:
    return digest.removeprefix("sha256:")[:_SHOWN] if digest else "unknown"
