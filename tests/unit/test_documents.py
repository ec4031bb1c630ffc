"""What the pages say is there: commands, flags, settings, links, and the same in both languages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from invoke.parser import Parser
from invoke.program import Program

from dockyard.bench.tables import regions
from dockyard.collection import namespace
from dockyard.errors import DockyardError
from dockyard.settings_fields import FIELDS
from support.documents import Block, Document, documents
from support.symptoms import MARKER, SYMPTOMS, filled

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = documents(REPOSITORY)
ENGLISH, CHINESE = REPOSITORY / "README.md", REPOSITORY / "README.zh-CN.md"


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def parse(command: list[str]) -> None:
    """Parse a command line as Invoke does; raises what Invoke shows."""
    collection = namespace()
    # Beside a project's own tasks they have the prefix "dockyard.".
    words = [word.removeprefix("dockyard.") for word in command[1:]]
    program = Program(namespace=collection)
    before_tasks = Parser(initial=program.initial_context, ignore_unknown=True)
    Parser(contexts=collection.to_contexts()).parse_argv(before_tasks.parse_argv(words).unparsed)


def wrong_commands(page: Path) -> list[str]:
    wrong = []
    for command in Document(page).commands:
        try:
            parse(command)
        except Exception as error:  # Invoke's ParseError, or ValueError for a figure
            wrong.append(f"{' '.join(command)}: {error}")
    return wrong


@each_page
def test_every_command_is_a_task_with_such_flags(page: Path) -> None:
    assert wrong_commands(page) == []


def test_every_task_is_in_the_readme() -> None:
    found = {word for command in Document(ENGLISH).commands for word in command[1:]}
    assert set(namespace().task_names) - found == set()


def unknown_settings(text: str) -> list[str]:
    known = {field.environment for field in FIELDS}
    return sorted(set(re.findall(r"\bDOCKYARD_[A-Z][A-Z_]*\b", text)) - known)


@each_page
def test_every_setting_is_one(page: Path) -> None:
    assert unknown_settings(page.read_text(encoding="utf-8")) == []


def unknown_keys(page: Path) -> list[str]:
    """Keys of ``[tool.dockyard]`` in blocks of TOML that there are not."""
    found = []
    for block in Document(page).blocks:
        if block.language == "toml" and "[tool.dockyard]" in block.text:
            found += tomllib.loads(block.text)["tool"]["dockyard"]
    return sorted(set(found) - {field.key for field in FIELDS})


@each_page
def test_every_key_of_pyproject_is_one(page: Path) -> None:
    assert unknown_keys(page) == []


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in Document(page).targets:
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in Document(place).anchors):
            broken.append(target)
    return broken


@each_page
def test_every_link_and_anchor_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    ahead = [ENGLISH]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = (one.partition("#")[0] for one in Document(page).targets if "://" not in one)
        ahead += [(page.parent / link).resolve() for link in links if link]
    assert sorted(map(name_of, set(PAGES) - seen)) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("run `invoke built`", ["invoke built: No idea what 'built' is!"]),
        ("```console\n$ uvx dockyard build --pull\n```\n", ["dockyard build --pull"]),
        ("```bash run\nX=1 invoke info --last many && invoke info\n```\n", ["--last many"]),
        ("`invoke cache.pull build --push cache.push`, `invoke --list`, `dockyard -V`", []),
        ("- `invoke settings --json | head`; `invoke … --json`", []),
    ],
    ids=["task", "flag", "figure", "several", "piped"],
)
def test_a_wrong_command_is_found(text: str, wrong: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    found = wrong_commands(page)
    assert len(found) == len(wrong)
    assert all(part in one for part, one in zip(wrong, found, strict=True))


def test_wrong_settings_keys_and_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` heading, twice\n## A b heading twice\n"
        "[a](#a-b-heading-twice) [b](#a-b-heading-twice-1) [c](#nowhere) [d](none.md) "
        '[e](https://example.com/none) <img src="no.svg">\n\n`DOCKYARD_IMAGES` DOCKYARD_IMAGE\n\n'
        "```toml\n[tool.dockyard]\nimage = 'a'\nimages = []\n```\n"
    )
    assert broken_links(page) == ["#nowhere", "none.md", "no.svg"]
    assert unknown_settings(page.read_text()) == ["DOCKYARD_IMAGES"]
    assert unknown_keys(page) == ["images"]


# -------------------- both languages


def plain_commands(block: Block) -> str:
    """A block's text without comments, which are translated."""
    return "\n".join(line.partition("  #")[0].rstrip() for line in block.text.splitlines())


def test_the_chinese_readme_has_the_structure_of_the_english() -> None:
    english, chinese = Document(ENGLISH), Document(CHINESE)
    assert [level for level, _ in chinese.headings] == [level for level, _ in english.headings]
    assert chinese.tables == english.tables
    assert [(one.info, plain_commands(one)) for one in chinese.blocks] == [
        (one.info, plain_commands(one)) for one in english.blocks
    ]
    assert sorted(chinese.commands) == sorted(english.commands)


def test_the_chinese_readme_links_what_the_english_links() -> None:
    def elsewhere(path: Path) -> list[str]:
        found = [one.partition("#")[0] for one in Document(path).targets]
        return sorted(one for one in found if one and not one.startswith("README"))

    assert elsewhere(CHINESE) == elsewhere(ENGLISH)


def test_the_chinese_readme_shows_the_same_measurements() -> None:
    # invoke bench --tables FILE --update README.zh-CN.md
    chinese, english = (regions(path.read_text(encoding="utf-8")) for path in (CHINESE, ENGLISH))
    assert chinese == english


# -------------------- what Dockyard says


def test_troubleshooting_shows_what_is_really_said() -> None:
    # To write it anew: PYTHONPATH=tests python -m support.symptoms
    text = (REPOSITORY / "docs/troubleshooting.md").read_text(encoding="utf-8")
    shown = [match[2] for match in MARKER.finditer(text)]
    assert set(shown) == set(SYMPTOMS)
    assert len(shown) == text.count("<!-- said:") == text.count("```text")
    assert filled(text) == text


def test_runnable_blocks_are_of_a_shell() -> None:
    runnable = [one for page in PAGES for one in Document(page).blocks if one.runs]
    assert len(runnable) >= 5
    assert {one.language for one in runnable} == {"bash"}


def test_documents_name_each_exit_code() -> None:
    def subclasses(kind: type[DockyardError]) -> set[type[DockyardError]]:
        found = set(kind.__subclasses__())
        return found.union(*(subclasses(one) for one in found)) if found else found

    codes = {one.exit_code for one in subclasses(DockyardError)}
    text = ENGLISH.read_text(encoding="utf-8")
    line = text[text.index("Exit codes:") :].partition("\n\n")[0]
    assert codes | {16, 70, 130} == set(map(int, re.findall(r"\d+", line)))
