"""Recorded work: replayed where its shapes come again, done plainly where it cannot be recorded."""

from __future__ import annotations

import pytest
import torch

from mefuse.gpu.graphs import Graphs, graphs_of


class Recorder:
    """Records as a GPU does: the work runs once, a replay does the same on the same tensors."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.recorded = self.replays = 0
        self._fault = fault

    def __call__(self, work):
        if self._fault is not None:
            raise self._fault
        self.recorded += 1
        result = work()

        def replay() -> None:
            self.replays += 1
            result.copy_(work())

        return result, replay


def _sum(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return one + 2 * other


def _pair(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(size), torch.rand(size)


def test_it_is_recorded_when_it_has_come_often_enough():
    recorder = Recorder()
    graphs = Graphs(recorder, seen_before=2)
    for turn in range(6):
        pair = _pair(5)
        assert torch.equal(graphs.run("sum", _sum, pair), _sum(*pair))
        assert recorder.recorded == (turn >= 2)
    assert recorder.replays == 4


def test_other_shapes_types_and_names_are_other_work():
    recorder = Recorder()
    graphs = Graphs(recorder, seen_before=0, most=9)
    for pair in (_pair(5), _pair(6), tuple(t.double() for t in _pair(5))):
        assert torch.equal(graphs.run("sum", _sum, pair), _sum(*pair))
    pair = _pair(5)
    graphs.run("twice", _sum, pair)
    assert recorder.recorded == 4
    assert len(graphs.recorded) == 4


def test_the_one_not_used_for_longest_goes():
    recorder = Recorder()
    graphs = Graphs(recorder, seen_before=0, most=2)
    for size in (1, 2, 1, 3, 1, 2):
        pair = _pair(size)
        assert torch.equal(graphs.run("sum", _sum, pair), _sum(*pair))
    assert recorder.recorded == 4  # 1, 2, 3 in place of 2, and 2 again
    assert [key[1][0] for key in graphs.recorded] == [(1,), (2,)]


def test_work_that_went_is_recorded_again_only_when_it_has_come_often():
    recorder = Recorder()
    graphs = Graphs(recorder, seen_before=2, most=2)
    for _ in range(6):
        for size in (1, 2, 3):
            graphs.run("sum", _sum, _pair(size))
    assert recorder.recorded == 4  # each of the three once, and the first again


def test_what_cannot_be_recorded_is_done_plainly_and_why_is_kept():
    graphs = Graphs(Recorder(RuntimeError("operation not permitted\nlong story")), seen_before=0)
    for _ in range(3):
        pair = _pair(4)
        assert torch.equal(graphs.run("sum", _sum, pair), _sum(*pair))
    assert list(graphs.failed.values()) == ["operation not permitted"]
    assert graphs.recorded == ()


def test_a_lack_of_memory_is_for_those_who_can_cut_slices():
    graphs = Graphs(Recorder(torch.OutOfMemoryError("CUDA out of memory")), seen_before=0)
    with pytest.raises(torch.OutOfMemoryError):
        graphs.run("sum", _sum, _pair(4))
    assert graphs.failed == {}


def test_a_cpu_records_nothing():
    graphs = graphs_of(torch.device("cpu"), seen_before=0)
    pair = _pair(3)
    assert torch.equal(graphs.run("sum", _sum, pair), _sum(*pair))
    assert graphs.recorded == ()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_replays():
    graphs = graphs_of(torch.device("cuda"), seen_before=0)
    for _ in range(3):
        pair = tuple(tensor.cuda() for tensor in _pair(1000))
        assert torch.equal(graphs.run("sum", _sum, pair), _sum(*pair))
    assert len(graphs.recorded) == 1
    assert graphs.failed == {}
