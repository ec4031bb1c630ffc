"""Here-documents, as BuildKit finds them: each case is what it answered (``--call=check``)."""

from __future__ import annotations

import pytest

from dockyard.dockerfile_syntax import parse_instructions


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("RUN <<EOF", ["EOF"]),
        ("run <<EOF", ["EOF"]),
        ("ONBUILD RUN <<EOF", ["EOF"]),
        ("RUN << EOF", ["EOF"]),
        ("RUN <<-EOF", ["EOF"]),
        ("RUN 12<<EOF", ["EOF"]),
        ("RUN x <<A <<B", ["A", "B"]),
        ('RUN x <<"A B"', ["A B"]),
        ("RUN x <<A'B'", ["AB"]),
        ("RUN x <<\\EOF", ["EOF"]),
        ("RUN x <<EOF; echo", ["EOF;"]),
        ("RUN x <<EOF>y", ["EOF>y"]),
        ("RUN x <<EOF#", ["EOF#"]),
        ("RUN echo ${x} <<EOF", ["EOF"]),
        ("RUN echo $x <<EOF", ["EOF"]),
        ('RUN x "a\\\\" <<EOF', ["EOF"]),
        ('RUN echo \\"a <<EOF', ["EOF"]),
        ("RUN echo $((1 << 3))", ["3))"]),
        ("COPY <<'A' <<'B' /x", ["A", "B"]),
        ('RUN echo "a <<EOF"', []),
        ("RUN echo 'x <<EOF y'", []),
        ("RUN echo it's <<EOF", []),
        ('RUN echo "x <<EOF', []),
        ("RUN echo ${x <<EOF", []),
        ('RUN cat <<<"hello"', []),
        ("RUN cat <<<hello", []),
        ("RUN a<<EOF", []),
        ('RUN x "a"<<EOF', []),
        ("RUN x <<A<<B", []),
        ("RUN x \\<<EOF", []),
        ("RUN x \\\\<<EOF", []),
        ("RUN x < <EOF", []),
        ("RUN <<", []),
        ("RUN <<- EOF", []),
        ('RUN x <<""', []),
        ("RUN echo $((1<<3))", []),
        ('COPY ["a <<EOF", "/x"]', []),
        ('RUN ["x", "<<EOF"]', []),
        ("HEALTHCHECK CMD x <<EOF", []),
    ],
)
def test_here_documents_are_those_that_buildkit_finds(line: str, ends: list[str]) -> None:
    lines = [line]
    for number, end in enumerate(ends):
        lines += [f"content {number}", end]
    found = parse_instructions("\n".join([*lines, "USER 1"]))
    assert [one.keyword for one in found] == [line.split()[0].upper(), "USER"]
    assert found[0].heredocs == tuple(f"content {number}\n" for number in range(len(ends)))


def test_leading_tabs_count_unless_they_are_asked_away() -> None:
    text = "RUN <<EOF\n\tEOF\nEOF\nRUN <<-EOF\n\tx\n\tEOF\nUSER 1\n"
    found = parse_instructions(text)
    assert [one.keyword for one in found] == ["RUN", "RUN", "USER"]
    assert [one.heredocs for one in found[:2]] == [("\tEOF\n",), ("\tx\n",)]
