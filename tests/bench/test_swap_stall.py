from pathlib import Path

from tasks.bench import swap_stall
from tasks.settings import load


def test_the_stall_is_the_longest_time_without_an_answer(tmp_path: Path) -> None:
    probe = swap_stall.readyz(load.load({"STEPKUBE_HOME": str(tmp_path)}))
    probe.answered = [0.5, 1.0, 4.0, 4.1, 9.0]
    assert probe.stall(1.0, 4.2) == 3.0
    assert probe.stall(4.05, 4.2) < 0.2
    assert probe.stall(5.0, 8.0) == 3.0, "not one answer in between"


def test_every_object_has_a_name_of_its_own(tmp_path: Path) -> None:
    writer = swap_stall.writer(load.load({"STEPKUBE_HOME": str(tmp_path)}))
    bodies = {writer.request(number)[2] for number in range(50)}
    assert len(bodies) == 50
