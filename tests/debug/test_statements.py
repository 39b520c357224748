"""A statement is found again by its function and text, whatever was edited around it."""

from __future__ import annotations

import pytest

from tasks.debug.statements import Function, LostError, Place, find

SOURCE = """package server

import "fmt"

// Serve is { unbalanced in a comment
func (s *Server[T]) Serve(n int, f interface{}) error {
	text := `
}
`
	if n == 0 {
		return fmt.Errorf("zero")
	}
	if n == 1 {
		return fmt.Errorf("zero")
	}
	go func() {
		fmt.Println(text, n) // says }
	}()
	return nil
}

var hook = func() { fmt.Println("hook") }

func other() {
	fmt.Println("other")
}
"""
SERVE = "k8s.io/kubernetes/pkg/a%2eb/server.(*Server[go.shape.[]k8s.io/x.Y]).Serve"


def line_of(text: str, source: str = SOURCE, nth: int = 0) -> int:
    numbers = [number for number, line in enumerate(source.splitlines(), 1) if text in line]
    return numbers[nth]


def moved(function: str, line: int, edited: str, **more: str) -> Place:
    files = {"pkg/server.go": edited, **{f"pkg/{name}.go": text for name, text in more.items()}}
    return next(find(function, SOURCE, Place("pkg/server.go", line), files))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (SERVE, ("Serve", "Server", False)),
        (f"{SERVE}.func1", ("Serve", "Server", True)),
        ("main.main", ("main", "", False)),
        ("main.main.func1.2", ("main", "", True)),
        ("main.main.gowrap3", ("main", "", True)),
        ("main.each-range1", ("each", "", False)),
        ("a/b.Value.Get", ("Get", "Value", False)),
        ("a/b.Sum[go.shape.int]", ("Sum", "", False)),
        ("a/b.init.func3", ("", "", True)),
        ("a/b.glob..func1", ("", "", True)),
    ],
)
def test_the_function_of_a_name(name: str, expected: tuple[str, str, bool]) -> None:
    function = Function.of(name)
    assert (function.name, function.receiver, function.is_closure) == expected


def test_the_lines_of_a_function_do_not_end_in_a_literal_or_comment() -> None:
    lines = Function.of(SERVE).lines(SOURCE)
    assert lines is not None
    assert (lines.start + 1, lines.stop) == (line_of("Serve("), line_of("return nil") + 1)


@pytest.mark.parametrize("text", ["text := `", "fmt.Println(text, n)", "return nil"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import", "// a comment\n\nimport"),
        ("\ttext := `", "\tn++\n\ttext := `"),
        ("\treturn nil", "\tfmt.Println(text)\n\tfmt.Println(text)\n\treturn nil"),
        ("// says }", "// says something else"),
        ("\tif n == 0 {", "\tif n == 0 { // never"),
    ],
)
def test_an_edit_elsewhere_moves_it(text: str, before: str, after: str) -> None:
    edited = SOURCE.replace(before, after, 1)
    place = moved(f"{SERVE}.func1", line_of(text), edited)
    assert place == Place("pkg/server.go", line_of(text, edited))


def test_a_removed_statement_is_not_another_one_with_the_same_text() -> None:
    edited = SOURCE.replace('\tif n == 0 {\n\t\treturn fmt.Errorf("zero")\n\t}\n', "")
    first, second = (line_of('"zero"', nth=nth) for nth in (0, 1))
    with pytest.raises(LostError, match='"zero"'):
        moved(SERVE, first, edited)
    assert moved(SERVE, second, edited).line == line_of('"zero"', edited)


def test_a_changed_statement_is_lost() -> None:
    with pytest.raises(LostError, match="return nil"):
        moved(SERVE, line_of("return nil"), SOURCE.replace("return nil", "return s.err"))


def test_a_statement_that_moved_inside_its_function_is_found() -> None:
    edited = SOURCE.replace("\ttext := `\n}\n`\n", "").replace(
        "\treturn nil", "\tn = 2\n\ttext := `\n}\n`\n\treturn nil"
    )
    assert moved(SERVE, line_of("text :="), edited).line == line_of("text :=", edited)


def test_a_function_that_moved_to_another_file_is_found() -> None:
    rest, function = SOURCE[: SOURCE.index("func other")], SOURCE[SOURCE.index("func other") :]
    there = f"package server\n\n{function}"
    place = moved("a/server.other", line_of('"other"'), rest, more=there)
    assert place == Place("pkg/more.go", line_of('"other"', there))


def test_a_renamed_function_is_lost() -> None:
    with pytest.raises(LostError, match="exists"):
        moved("a/server.other", line_of('"other"'), SOURCE.replace("other()", "another()"))


def test_the_initialisation_of_a_package_is_found_in_its_file() -> None:
    edited = SOURCE.replace("var hook", "var first = 1\n\nvar hook")
    name = "a/server.init.func1"
    assert moved(name, line_of('"hook"'), edited).line == line_of('"hook"', edited)
    with pytest.raises(LostError):
        next(find(name, SOURCE, Place("pkg/server.go", line_of('"hook"')), {"pkg/b.go": edited}))
