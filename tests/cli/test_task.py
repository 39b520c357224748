"""Up-to-date checks."""

from tasks.cli.task import Check


def test_a_check_that_cannot_look_is_not_up_to_date() -> None:
    check = Check("seven can be divided", lambda number: 7 / number > 0, (0,))
    assert check() is False
    assert repr(check) == "seven can be divided"
    assert Check("seven can be divided", lambda number: 7 / number > 0, (1,))() is True
