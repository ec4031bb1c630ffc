"""The marked regions: read, compared with what is rendered, replaced by themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockyard.dockerfile import (
    DockerfileState,
    Recipe,
    accept,
    dockerfile_state,
    edited,
    keep_plan,
    read_plan,
    render,
)
from dockyard.dockerfile_regions import (
    REGIONS,
    edited_regions,
    read_regions,
    rewrite_regions,
    without_plan,
)
from dockyard.layers import Layer, LayerPlan
from unit.test_dockerfile import RECIPE

PLAN = LayerPlan((Layer(("numpy",)), Layer(("pandas", "scipy")), Layer(("click",))))
OTHER = LayerPlan((Layer(("scipy",)), Layer(("click", "numpy", "pandas"))))
MORE = LayerPlan(tuple(Layer((name,)) for name in "abcdefghijkl"))
CHANGED = replace(RECIPE, ports=(9000,))


def by_hand(text: str) -> str:
    """Edit a line outside of the regions."""
    return text.replace("USER 10001:10001", "USER 1000:1000")


def test_the_last_layers_packages_are_named_too() -> None:
    assert read_plan(render(RECIPE, PLAN)) == PLAN


@pytest.mark.parametrize("plan", [PLAN, OTHER, MORE], ids=["three", "two", "twelve"])
def test_what_is_rendered_is_not_edited(plan: LayerPlan) -> None:
    text = render(RECIPE, plan)
    assert set(read_regions(text)) == set(REGIONS)
    assert edited(text, RECIPE, plan) == ()
    slim = replace(RECIPE, slim=("tests",))
    assert edited(render(slim, plan), slim, plan) == ()
    assert edited(text, slim, plan) == ("dependencies",)


@pytest.mark.parametrize("plan", [OTHER, MORE], ids=["fewer", "more"])
def test_another_plan_changes_the_regions_alone(plan: LayerPlan) -> None:
    text = by_hand(render(RECIPE, PLAN))
    assert keep_plan(text, RECIPE, plan) == by_hand(render(RECIPE, plan))
    assert keep_plan(keep_plan(text, RECIPE, plan), RECIPE, PLAN) == text


def test_lines_keep_their_endings() -> None:
    text = render(RECIPE, PLAN).replace("\n", "\r\n") + "# no newline at the end"
    assert edited_regions(text, PLAN, "") == ()
    after = rewrite_regions(text, OTHER, "")
    assert after == render(RECIPE, OTHER).replace("\n", "\r\n") + "# no newline at the end"


@pytest.mark.parametrize(
    ("recipe", "state"),
    [(RECIPE, DockerfileState.CURRENT), (CHANGED, DockerfileState.OUTDATED)],
    ids=["current", "outdated"],
)
def test_an_untouched_file_stays_untouched(recipe: Recipe, state: DockerfileState) -> None:
    assert (
        dockerfile_state(keep_plan(render(RECIPE, PLAN), RECIPE, OTHER), render(recipe, OTHER))
        is state
    )


@pytest.mark.parametrize(
    ("recipe", "state"),
    [(RECIPE, DockerfileState.EDITED), (CHANGED, DockerfileState.DIVERGED)],
    ids=["edited", "diverged"],
)
def test_an_edited_file_stays_edited(recipe: Recipe, state: DockerfileState) -> None:
    text = by_hand(render(RECIPE, PLAN))
    assert dockerfile_state(text, render(recipe, PLAN)) is state
    assert dockerfile_state(keep_plan(text, RECIPE, OTHER), render(recipe, OTHER)) is state


def test_an_accepted_file_stays_accepted_with_another_plan() -> None:
    accepted = accept(by_hand(render(RECIPE, PLAN)), render(CHANGED, PLAN))
    after = keep_plan(accepted, CHANGED, OTHER)
    assert dockerfile_state(after, render(CHANGED, OTHER)) is DockerfileState.EDITED


EDITS = {
    "assignment": ("3 *", "3 *\n# mine"),
    "dependencies": ("install-layer dependencies-2", "install-layer dependencies-2 --mine"),
    "copies": ("COPY --link --from=dependencies-3", "COPY --from=dependencies-3"),
}


@pytest.mark.parametrize("region", REGIONS)
def test_an_edited_region_is_named(region: str) -> None:
    text = render(RECIPE, PLAN)
    changed = text.replace(*EDITS[region])
    assert changed != text
    assert edited_regions(changed, PLAN, "") == (region,)


@pytest.mark.parametrize("region", REGIONS)
def test_an_edited_region_makes_an_edited_file(region: str) -> None:
    """However untouched all else is: rendering it again would lose what somebody wrote."""
    changed = render(RECIPE, PLAN).replace(*EDITS[region])
    assert without_plan(changed) == changed
    assert dockerfile_state(changed, render(RECIPE, PLAN)) is DockerfileState.EDITED
    assert dockerfile_state(changed, render(CHANGED, PLAN)) is DockerfileState.DIVERGED


def test_an_edit_in_every_layer_makes_an_edited_file() -> None:
    changed = render(RECIPE, PLAN).replace("target=/plan \\", "target=/plan,rw \\")
    assert edited_regions(changed, PLAN, "") == ("dependencies",)
    assert dockerfile_state(changed, render(CHANGED, PLAN)) is DockerfileState.DIVERGED


def test_a_package_moved_by_hand_is_another_plan_and_no_edit() -> None:
    text = (
        render(RECIPE, PLAN).replace("1 numpy\n", "1 numpy\n1 pandas\n").replace("2 pandas\n", "")
    )
    plan = read_plan(text)
    assert plan
    assert plan.layers[0].packages == ("numpy", "pandas")
    assert edited_regions(text, plan, "") == ()
    assert dockerfile_state(text, render(RECIPE, plan)) is DockerfileState.CURRENT


@pytest.mark.parametrize(
    "line", ["# dockyard: end copies", "# dockyard: begin copies"], ids=["end", "begin"]
)
def test_a_region_without_its_marks_is_edited_and_left(line: str) -> None:
    text = render(RECIPE, PLAN).replace(f"{line}\n", "")
    assert edited_regions(text, PLAN, "") == ("copies",)
    kept = [one for one in text.splitlines() if one.startswith("COPY --link --from=dependencies-")]
    after = rewrite_regions(text, OTHER, "").splitlines()
    assert [one for one in after if one.startswith("COPY --link --from=dependencies-")] == kept


def test_a_region_that_is_there_twice_is_edited() -> None:
    text = render(RECIPE, PLAN)
    copies = f"# dockyard: begin copies\n{read_regions(text)['copies']}\n# dockyard: end copies\n"
    assert edited_regions(text + copies, PLAN, "") == ("copies",)
