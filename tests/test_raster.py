"""The z-buffer against brute force in integers, a sphere's closed form, and the rule that no pixel is drawn twice or missed."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import shapes
from hypothesis import given, settings
from hypothesis import strategies as st

from discontrolface.render import compiled as compiled_module
from discontrolface.render.raster import interpolate, rasterize, rasterize_batch, visible_vertices

SIZE = 32


def sphere(rings: int = 60, sectors: int = 80, radius: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    return shapes.sphere(rings, sectors, radius)


def pixel_centres(size: int) -> tuple[np.ndarray, np.ndarray]:
    """ndc x and y of all pixel centres, by the conventions."""
    centre = (np.arange(size) + 0.5) / size * 2 - 1
    return np.meshgrid(centre, -centre)


def brute_force(grid: np.ndarray, z: np.ndarray, faces: np.ndarray, cull: bool) -> tuple[np.ndarray, np.ndarray]:
    """Exact coverage and depth. grid: (V, 2) int64, 1/32 pixels, y down, from the picture's corner; pixel centres lie at 32 i + 16."""
    x, y = np.meshgrid(32 * np.arange(SIZE) + 16, 32 * np.arange(SIZE) + 16)
    owner, depth = np.full((SIZE, SIZE), -1), np.full((SIZE, SIZE), -np.inf)
    for index, face in enumerate(faces):
        corners, heights = grid[face], z[face]
        (ax, ay), (bx, by), (cx, cy) = corners
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (cull and area > 0):
            continue
        if area < 0:
            corners, heights = corners[[0, 2, 1]], heights[[0, 2, 1]]
        inside, surface = np.ones((SIZE, SIZE), bool), np.zeros((SIZE, SIZE))
        for k in range(3):
            (px, py), (qx, qy) = corners[(k + 1) % 3], corners[(k + 2) % 3]
            edge = (qx - px) * (y - py) - (qy - py) * (x - px)
            top_left = qy < py or (qy == py and qx > px)
            inside &= (edge > 0) | ((edge == 0) & top_left)
            surface += edge / abs(area) * heights[k]
        nearer = inside & (surface > depth + 1e-9)
        owner[nearer], depth[nearer] = index, surface[nearer]
    return owner, depth


def to_ndc(grid: np.ndarray, z: np.ndarray) -> np.ndarray:
    pixels = grid / 32.0
    return np.stack([pixels[:, 0] / SIZE * 2 - 1, 1 - pixels[:, 1] / SIZE * 2, z], -1).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 30),
    step=st.sampled_from([1, 16, 32]),
    reach=st.integers(4, 60),
    cull=st.booleans(),
)
def test_agrees_with_brute_force_in_integers(seed: int, count: int, step: int, reach: int, cull: bool) -> None:
    """Random triangles, many with corners and edges exactly on pixel centres (step 16), many beyond the window."""
    random = np.random.default_rng(seed)
    grid = random.integers(16 * SIZE - 16 * reach, 16 * SIZE + 16 * reach, (count * 2 + 1, 2)) // step * step
    z = random.integers(-8, 8, len(grid)) / 8.0
    faces = random.integers(0, len(grid), (count, 3))
    owner, depth = brute_force(grid, z, faces, cull)
    drawn = rasterize(to_ndc(grid, z), faces, SIZE, SIZE, cull=cull)
    assert np.array_equal(drawn.triangle >= 0, owner >= 0)
    assert np.allclose(drawn.depth[drawn.mask], depth[drawn.mask], atol=1e-5)
    _, behind = brute_force(grid, z, np.where((np.arange(count) == 0)[:, None], 0, faces), cull)  # the scene without its first face
    clear = (owner == 0) & (depth > behind + 1e-4)
    assert np.all(drawn.triangle[clear] == 0)
    rebuilt = interpolate(drawn, to_ndc(grid, z), faces)
    x, y = pixel_centres(SIZE)
    assert np.allclose(rebuilt[..., 0][drawn.mask], x[drawn.mask], atol=1e-4)
    assert np.allclose(rebuilt[..., 1][drawn.mask], y[drawn.mask], atol=1e-4)
    assert np.allclose(rebuilt[..., 2], np.where(drawn.mask, drawn.depth, 0), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), snapped=st.booleans(), height=st.integers(1, 40), width=st.integers(1, 40))
def test_shared_edges_are_counted_once(seed: int, snapped: bool, height: int, width: int) -> None:
    """A jittered triangulation of more than the window: drawn one by one, its triangles cover each pixel exactly once."""
    random = np.random.default_rng(seed)
    n = 7
    lattice = np.stack(np.meshgrid(np.linspace(-1.4, 1.4, n), np.linspace(-1.4, 1.4, n)), -1)
    lattice += random.uniform(-0.11, 0.11, lattice.shape)
    if snapped:  # onto pixel centres
        lattice[..., 0] = (np.floor((lattice[..., 0] + 1) / 2 * width) + 0.5) / width * 2 - 1
        lattice[..., 1] = 1 - (np.floor((1 - lattice[..., 1]) / 2 * height) + 0.5) / height * 2
    vertices = np.concatenate([lattice.reshape(-1, 2), random.uniform(-1, 1, (n * n, 1))], -1)
    i, j = (index.ravel() for index in np.meshgrid(np.arange(n - 1), np.arange(n - 1), indexing="ij"))
    a = i * n + j
    faces = np.concatenate([np.stack([a, a + 1, a + n + 1], -1), np.stack([a, a + n + 1, a + n], -1)])
    drawn = [rasterize(vertices, face[None], height, width, cull=False).mask for face in faces]
    folded = snapped and min(height, width) < 40  # snapping coarse pixels may turn triangles over; signed counting below still holds
    if not folded:
        assert np.all(np.sum(drawn, 0) == 1)
    front = [rasterize(vertices, face[None], height, width).mask for face in faces]
    back = [rasterize(vertices, face[None, ::-1], height, width).mask for face in faces]
    assert np.all(np.sum(front, 0) - np.sum(back, 0) == 1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (32, 32), (33, 57), (256, 128)])
def test_a_square_split_in_two_covers_the_window(height: int, width: int) -> None:
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    halves = np.array([[0, 1, 2], [0, 2, 3]])
    drawn = rasterize(corners, halves, height, width)
    assert drawn.mask.all()
    single = [rasterize(corners, half[None], height, width).mask for half in halves]
    assert np.all(single[0] ^ single[1])
    x = interpolate(drawn, corners, halves)[..., 0]
    assert np.allclose(x, (np.arange(width) + 0.5) / width * 2 - 1, atol=2e-4 + 1 / 4096)
    assert np.allclose(drawn.barycentric.sum(-1), 1, atol=1e-6)


def test_sphere_has_the_depth_and_normals_of_the_closed_form() -> None:
    radius, size = 0.8, 128
    vertices, faces = sphere(120, 160, radius)
    drawn = rasterize(vertices, faces, size, size)
    x, y = pixel_centres(size)
    r2 = x**2 + y**2
    assert np.array_equal(drawn.mask[np.abs(np.sqrt(r2) - radius) > 0.005], (r2 < radius**2)[np.abs(np.sqrt(r2) - radius) > 0.005])
    inner = np.sqrt(r2) < 0.9 * radius
    truth = np.sqrt(np.maximum(radius**2 - r2, 0))
    assert np.abs(drawn.depth - truth)[inner].max() < 2e-3
    normals = interpolate(drawn, vertices / radius, faces)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12
    expected = np.stack([x, y, truth], -1) / radius
    assert np.degrees(np.arccos(np.clip((normals * expected).sum(-1), -1, 1)))[inner].max() < 0.5


def test_culling_leaves_the_picture_of_a_closed_mesh_unchanged() -> None:
    vertices, faces = sphere()
    front, both = rasterize(vertices, faces, 64, 64), rasterize(vertices, faces, 64, 64, cull=False)
    assert np.array_equal(front.mask, both.mask)
    assert np.allclose(front.depth[front.mask], both.depth[front.mask])
    assert not rasterize(vertices, faces[:, ::-1], 64, 64).depth[32, 32] > 0  # turned inside out: the far wall shows


def test_nearer_wins_in_any_order_and_ties_go_to_the_lower_index() -> None:
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    vertices = np.concatenate([np.c_[square, np.full(4, z)] for z in (0.1, 0.7, 0.7)])
    halves = np.array([[0, 1, 2], [0, 2, 3]])
    faces = np.concatenate([halves, halves + 4, halves + 8])
    assert set(np.unique(rasterize(vertices, faces, 8, 8).triangle)) == {2, 3}
    assert set(np.unique(rasterize(vertices, faces[::-1], 8, 8).triangle)) == {0, 1}


def test_hostile_vertices_are_left_out_and_do_no_harm() -> None:
    vertices, faces = sphere(10, 12)
    clean = rasterize(vertices, faces, 32, 32)
    bad = np.array([[np.nan, 0, 0], [0, np.inf, 0], [0, 0, np.nan], [3e38, -3e38, 0.0]], np.float32)
    n = len(vertices)
    extra = np.array([[n, 0, 1], [n + 1, 3, 4], [n + 2, 20, 30], [5, 5, 5], [5, 5, 6]], np.int32)
    drawn = rasterize(np.concatenate([vertices, bad]), np.concatenate([faces, extra]), 32, 32, cull=False)
    assert np.array_equal(drawn.triangle, rasterize(vertices, faces, 32, 32, cull=False).triangle)
    assert np.array_equal(drawn.mask, clean.mask)
    huge = np.array([[-3e38, -3e38, 0], [3e38, -3e38, 0], [0, 3e38, 0]], np.float32)
    assert rasterize(huge, np.array([[0, 1, 2]]), 16, 16).mask.all()
    assert not rasterize(vertices + np.float32([50, 0, 0]), faces, 32, 32).mask.any()
    assert not rasterize(np.zeros((0, 3)), np.zeros((0, 3), int), 4, 4).mask.any()


def test_batch_is_the_single_one_repeated() -> None:
    vertices, faces = sphere(12, 14)
    batch = np.stack([vertices, vertices * np.float32(0.5)])
    for sample, drawn in zip(batch, rasterize_batch(batch, faces, 20, 30), strict=True):
        single = rasterize(sample, faces, 20, 30)
        assert np.array_equal(drawn.triangle, single.triangle)
        assert np.array_equal(drawn.barycentric, single.barycentric)
        assert np.array_equal(drawn.depth, single.depth)


def test_visible_vertices_of_a_sphere_are_those_that_face_the_camera() -> None:
    vertices, faces = sphere(90, 120)
    drawn = rasterize(vertices, faces, 256, 256)
    visible = visible_vertices(drawn, vertices, tolerance=0.02)
    facing = vertices[:, 2] / 0.8
    assert visible[facing > 0.15].all()
    assert not visible[facing < -0.15].any()
    assert np.array_equal(visible, visible_vertices(drawn.depth, vertices, tolerance=0.02))
    outside = np.array([[2, 0, 0], [np.nan, 0, 0], [0.99, 0.99, -5]], np.float32)
    assert visible_vertices(drawn, outside).tolist() == [False, False, True]


def test_wrong_shapes_and_indices_are_refused() -> None:
    vertices, faces = sphere(5, 6)
    with pytest.raises(ValueError, match="there are"):
        rasterize(vertices, faces + len(vertices), 8, 8)
    with pytest.raises(ValueError, match=r"\(V, 3\)"):
        rasterize(vertices[:, :2], faces, 8, 8)
    with pytest.raises(ValueError, match="at least 1x1"):
        rasterize(vertices, faces, 0, 8)
    with pytest.raises(ValueError, match=r"\(B, V, 3\)"):
        rasterize_batch(vertices, faces, 8, 8)
    with pytest.raises(ValueError, match="triangle"):
        interpolate(rasterize(vertices, faces, 8, 8), vertices, faces[:1])


def test_without_a_cache_folder_it_still_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba raises when it finds no place for its cache; the function must then work uncached."""
    real = compiled_module.numba.njit

    def refusing(*args: object, **options: object) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available for file")
        return real(*args, **options)

    monkeypatch.setattr(compiled_module.numba, "njit", refusing)
    assert compiled_module.compiled(lambda a: a + 1)(1) == 2
