"""Blendshapes on a FLAME-shaped model whose truth is known: it is made from the head that they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.flame_synthetic import flame_arrays, write_landmarks

from discontrolface.common.errors import UserError
from discontrolface.face.correspond import Correspondence, Surface, correspond
from discontrolface.face.flame import check_flame
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.transfer import BlendshapeTable, named_head, transfer_blendshapes, with_mesh_landmarks
from discontrolface.geometry.similarity import Similarity


@pytest.fixture(scope="module")
def source() -> HeadModel:
    return HeadModel.open()


@pytest.fixture(scope="module")
def flame(tmp_path_factory: pytest.TempPathFactory) -> HeadModel:
    path: Path = tmp_path_factory.mktemp("flame") / "landmark_embedding.npy"
    write_landmarks(path)
    return HeadModel.from_flame(check_flame(flame_arrays(), "synthetic"), path, shape_count=100, expression_count=50)


@pytest.fixture(scope="module")
def match(source: HeadModel, flame: HeadModel) -> Correspondence:
    return correspond(source, flame)


@pytest.fixture(scope="module")
def table(source: HeadModel, flame: HeadModel, match: Correspondence) -> BlendshapeTable:
    return transfer_blendshapes(source, flame, match)


def test_points_of_the_same_surface_find_themselves(source: HeadModel, flame: HeadModel, match: Correspondence) -> None:
    there = np.einsum("vc,vcx->vx", match.barycentric, source.template.numpy()[source.faces[match.triangle]])
    away = np.linalg.norm(there - flame.template.numpy(), axis=1)
    seen = source.region_mask("skin", "lips", "brows", "eyelids")
    assert match.trust[seen].mean() > 0.95
    assert np.median(away[seen]) < 1e-6
    assert np.quantile(away[seen], 0.99) < 0.001
    assert abs(match.similarity.scale - 1) < 1e-6


def test_a_turned_scaled_and_stretched_head_is_found_again(source: HeadModel, flame: HeadModel) -> None:
    """FLAME has other proportions: here the truth is a smooth warp."""
    arrays = flame_arrays()
    v = arrays["v_template"]
    stretched = v * [0.92, 1.05, 0.97] + 0.004 * np.sin(40 * v[:, [1, 2, 0]])
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    other = HeadModel.from_flame(
        check_flame({**arrays, "v_template": 1.3 * stretched @ turn.T + [0.2, 1.5, 0]}, "other"), shape_count=2, expression_count=0
    )
    other.embedding = flame.embedding
    found = correspond(source, other)
    there = np.einsum("vc,vcx->vx", found.barycentric, v[source.faces[found.triangle]])
    away = np.linalg.norm(there - v, axis=1)
    face = source.region_mask("skin", "lips", "brows") & (v[:, 2] > 0) & (found.trust > 0.5)
    assert face.sum() > 1000
    assert np.quantile(away[face], 0.9) < 0.004
    assert abs(found.similarity.scale - 1.3) < 0.05


def test_blendshapes_do_what_they_do_on_the_open_head(source: HeadModel, flame: HeadModel, table: BlendshapeTable) -> None:
    assert table.names == source.expression_names
    residual = dict(zip(table.names, table.residual, strict=True))
    assert residual["mouthSmileLeft"] < 0.15
    assert residual["eyeBlinkRight"] < 0.2
    assert residual["jawOpen"] < 0.25  # its own directions are not in the model: the joint does it
    assert residual["tongueOut"] == 1  # FLAME has no tongue
    jaw = dict(zip(table.names, table.jaw, strict=True))
    assert 10 < np.degrees(jaw["jawOpen"][0]) < 30
    assert jaw["jawLeft"][1] * jaw["jawRight"][1] < 0
    assert not jaw["mouthSmileLeft"].any()
    pose = torch.zeros(1, 5, 3)
    pose[0, 2] = torch.from_numpy(jaw["jawOpen"])
    i = table.names.index("jawOpen")
    made = flame(expression=torch.from_numpy(table.expression[i : i + 1]), pose=pose).vertices[0] - flame.template
    torch.testing.assert_close(made, torch.from_numpy(table.fields[i]), atol=1e-6, rtol=0)
    assert "jawOpen" in table.report()


def test_the_named_head_means_the_same(source: HeadModel, flame: HeadModel, table: BlendshapeTable, match: Correspondence) -> None:
    head = named_head(with_mesh_landmarks(flame, match), table)
    assert head.expression_count == 102
    assert head.expression_names[52:54] == ("flame00", "flame01")
    assert len(head.embedding.triangles) == 468  # type: ignore[union-attr]
    torch.testing.assert_close(head.landmarks(head.template[None]), source.landmarks(source.template[None]), atol=1e-5, rtol=0)
    for name, value in (("mouthSmileLeft", 0.8), ("jawOpen", 0.6), ("browInnerUp", 1.0)):
        moves = []
        for model in (source, head):
            expression = torch.zeros(1, model.expression_count)
            expression[0, model.expression_names.index(name)] = value
            moves.append(model(expression=expression).landmarks_3d[0] - model().landmarks_3d[0])
        assert (moves[0] - moves[1]).norm() < 0.4 * moves[0].norm()
    assert len(head(expression=torch.zeros(1, 102)).landmarks_2d[0]) == 68  # FLAME's own, with the contour


def test_codes_split_into_blendshapes_and_back(table: BlendshapeTable) -> None:
    rng = np.random.default_rng(0)
    expression, jaw = 0.5 * rng.standard_normal(50).astype(np.float32), np.array([0.15, 0.02, 0], np.float32)
    coefficients, rest = table.split(expression, jaw)
    assert coefficients[:52].min() >= 0
    assert coefficients[:52].max() <= 1
    again, jaw_again = table.join(coefficients, rest)
    assert np.allclose(again, expression, atol=1e-5)
    assert np.allclose(jaw_again, jaw, atol=1e-5)
    pure = np.zeros(102)
    pure[table.names.index("jawOpen")] = 0.6
    found, rest = table.split(*table.join(pure, np.zeros(3)))
    assert found.argmax() == table.names.index("jawOpen")
    assert abs(found.max() - 0.6) < 0.1


def test_the_table_is_kept(table: BlendshapeTable, tmp_path: Path) -> None:
    table.save(tmp_path / "actions.safetensors")
    again = BlendshapeTable.load(tmp_path / "actions.safetensors")
    assert again.names == table.names
    assert np.array_equal(again.expression, table.expression)
    (tmp_path / "actions.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="delete it"):
        BlendshapeTable.load(tmp_path / "actions.safetensors")


def test_similarity_and_nearest_points() -> None:
    rng = np.random.default_rng(1)
    points = rng.standard_normal((20, 3))
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    found = Similarity.between(points, 2.5 * points @ rotation.T + [1, 2, 3])
    assert np.allclose(found(points), 2.5 * points @ rotation.T + [1, 2, 3])
    square = Surface(np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    queries = np.array([[0.5, 0.2, 3.0], [2.0, 0.5, 0], [-1, -1, 0.0]])
    triangle, weight, distance = square.nearest(queries)
    assert np.allclose(np.einsum("nc,ncx->nx", weight, square.corners[triangle]), [[0.5, 0.2, 0], [1, 0.5, 0], [0, 0, 0]])
    assert np.allclose(distance, [3, 1, np.sqrt(2)])


def test_heads_without_what_is_needed_are_named(flame: HeadModel, source: HeadModel) -> None:
    with pytest.raises(UserError, match="no named expressions"):
        transfer_blendshapes(flame, flame)
    with pytest.raises(UserError, match="corresponding landmarks"):
        correspond(flame, source)
