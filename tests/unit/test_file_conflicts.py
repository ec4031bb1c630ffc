"""Files that two packages write, from their RECORDs."""

from __future__ import annotations

from dockyard.file_conflicts import DisputedFile, disputed_files

RECORDS = {
    "Alpha_One": "shared/__init__.py,sha256=aa,1\nalpha.py,sha256=a1,1\nsame.py,sha256=ff,1\n",
    "beta": 'shared/__init__.py,sha256=bb,1\nsame.py,sha256=ff,1\n"odd,name.py",sha256=o1,1\n',
    "gamma": '"odd,name.py",sha256=o2,1\nshared/__init__.py,sha256=cc,1\ngamma-1/RECORD,,\n',
}


def test_only_different_content_counts_and_layers_give_the_order() -> None:
    assert disputed_files(RECORDS, (("gamma",), ("beta", "alpha-one"))) == (
        DisputedFile("odd,name.py", ("gamma", "beta")),
        DisputedFile("shared/__init__.py", ("gamma", "alpha-one", "beta")),
    )


def test_what_no_layer_names_comes_last() -> None:
    [_, shared] = disputed_files(RECORDS, (("beta",),))
    assert shared.packages == ("beta", "alpha-one", "gamma")


def test_no_packages_dispute_nothing() -> None:
    assert disputed_files({}, ()) == ()
    assert disputed_files({"one": "a.py,sha256=a,1\n"}, (("one",),)) == ()
