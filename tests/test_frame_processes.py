"""Frames by processes beside the networks: the same bits, the same errors, and only where they pay."""

from multiprocessing import active_children
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.networks import write_tiny_preset

from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.common.parallel import cores
from discontrolface.editing.animate import MANY, animate, kept_frames, processes_beside
from discontrolface.editing.editor import Editor
from discontrolface.editing.frame_maker import BATCH, FrameMaker
from discontrolface.editing.frame_processes import FrameProcesses


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Editor:
    return Editor.load(write_tiny_preset(tmp_path_factory.mktemp("preset")), cache=None)


def test_processes_beside_the_networks_give_the_bits_of_none(editor: Editor, tmp_path: Path) -> None:
    person = editor.read(example_photo())
    targets = [person.parameters.edit(yaw=person.parameters.yaw + k % 7) for k in range(3 * BATCH - 2)]
    sampling = editor.preset.sampling
    one = list(animate(editor, person, targets, sampling))
    kept = kept_frames(tmp_path / "out.mp4", editor, person, targets, sampling)
    beside = list(animate(editor, person, targets, sampling, kept, workers=3, processes=2))
    assert all(np.array_equal(a, b) for a, b in zip(one, beside, strict=True))
    assert np.array_equal(kept.read(BATCH, person.photo.array), one[BATCH])


def test_what_goes_wrong_in_a_process_is_raised_where_it_was_asked_for(editor: Editor, tmp_path: Path) -> None:
    person = editor.read(example_photo())
    kept = kept_frames(tmp_path / "out.mp4", editor, person, [person.parameters], editor.preset.sampling)
    maker = FrameMaker(person, [person.parameters], editor.preset.sampling, editor.size, editor.networks.maps, kept)
    with FrameProcesses(maker, 1) as beside:
        edits = beside.prepared(0)
        with pytest.raises(UserError, match="a frame"):  # the folder of kept frames was never made
            beside.pasted(0, edits, torch.zeros(1, 3, editor.size, editor.size))
        for process in active_children():
            process.kill()
        with pytest.raises(UserError, match="was ended"):
            beside.prepared(0)


def test_processes_pay_beside_a_gpu_and_where_there_are_many_frames(editor: Editor) -> None:
    assert processes_beside(editor, 10 * MANY) == 0, "the networks are on the cores themselves"
    elsewhere = SimpleNamespace(networks=SimpleNamespace(device="xpu"))
    assert processes_beside(elsewhere, MANY - 1) == 0
    assert 1 <= processes_beside(elsewhere, MANY) <= cores()
