"""Frames of a clip as photos of a person: those that differ most, and none that cannot be read."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from discontrolface.common.errors import UserError
from discontrolface.common.pixels import to_uint8
from discontrolface.common.video import write_clip
from discontrolface.synthetic.portraits import HELD_OUT, make_scene, random_parameters, render_scene
from discontrolface.training import clips
from discontrolface.training.clips import furthest_apart
from discontrolface.training.real_pairs import PairSettings, read_photos
from discontrolface.training.samples import reader

SIZE = 64


def test_what_differs_most_is_chosen() -> None:
    points = np.concatenate([np.random.default_rng(0).normal(0, 0.01, (20, 3)), [[1, 0, 0], [0, 2, 0], [0.4, 0.4, 0]]])
    chosen = furthest_apart(points, 3)
    assert chosen[1:] == [21, 20]
    assert sorted(furthest_apart(points[:4], 9)) == [0, 1, 2, 3]


def test_a_clip_gives_its_different_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "FRAMES", 2)
    scene = make_scene(HELD_OUT + 4, detail=0.1)
    face = random_parameters(scene, np.random.default_rng(4))
    pictures = [to_uint8(render_scene(scene, face.edit(yaw=yaw, pitch=0, roll=0), 256).image) for yaw in (0, 20)]
    frames = [pictures[0]] * 3 + [np.full_like(pictures[0], 128)] + [pictures[1]] * 2
    write_clip(tmp_path / "clip.mp4", frames, Fraction(10), {})
    (tmp_path / "broken.mpg").write_bytes(b"no clip")
    write_clip(tmp_path / "empty.mp4", [frames[3]] * 2, Fraction(10), {})
    paths = [tmp_path / name for name in ("broken.mpg", "clip.mp4", "empty.mp4")]
    people, left_out = read_photos(paths, reader("open", SIZE, None, False), PairSettings(size=SIZE, max_error=5.0))
    assert [person.photo.path.name.split("#")[0] for person in people] == ["clip.mp4"] * 2
    assert abs(people[1].parameters.yaw - people[0].parameters.yaw) > 10
    assert np.array_equal(people[0].parameters.shape, people[1].parameters.shape)
    assert set(left_out) == {paths[0], paths[2]}
    with pytest.raises(UserError, match="no frame of"):
        clips.read_clip(paths[2], reader("open", SIZE, None, False), lambda person: True)
