from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from pipeline.image import masks
from pipeline.image.masks import RunMask, _sample, encode_polygons, encode_rle, paste
from pipeline.instances import MaskCrop

HEIGHT, WIDTH = 60, 80

HOSTILE_BOXES = {
    "ordinary": (10.3, 20.6, 41.9, 50.2),
    "tiny": (10.4, 20.4, 10.9, 20.7),
    "thin": (5.2, 0.0, 5.9, 60.0),
    "partly outside": (-20.5, -10.5, 30.5, 25.5),
    "larger than the image": (-300.0, -200.0, 400.0, 300.0),
    "the whole image": (0.0, 0.0, 80.0, 60.0),
    "at the far corner": (70.1, 50.1, 80.0, 60.0),
}


@st.composite
def placed_masks(draw):
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    pixels = draw(
        arrays.arrays(np.bool_, (draw(st.integers(1, height)), draw(st.integers(1, width))))
    )
    y = draw(st.integers(0, height - pixels.shape[0]))
    x = draw(st.integers(0, width - pixels.shape[1]))
    return in_full(MaskCrop(x=x, y=y, pixels=pixels), height, width)


def in_full(crop, height, width):
    full = np.zeros((height, width), dtype=np.uint8)
    rows, columns = crop.pixels.shape
    full[crop.y : crop.y + rows, crop.x : crop.x + columns] = crop.pixels
    return full


def rasterized(mask, height, width):
    return coco.decode(coco.merge(coco.frPyObjects(mask.polygons, height, width)))


def run_mask(pixels):
    height, width = pixels.shape
    framed = np.pad(pixels.astype(np.bool_).T, ((0, 0), (1, 1)))
    column, row = np.nonzero(framed[:, 1:] != framed[:, :-1])
    return RunMask(column * (height + 1) + row, height, width)


def sampled(probabilities, box, height, width):
    """Return the (height, width) bilinear values in float64, with a weight per pixel and cell."""

    def weights(low, high, size):
        centres = (np.arange(size) + 0.5 - low) / (high - low) * len(probabilities) - 0.5
        return np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(len(probabilities))))

    rows, columns = weights(box[1], box[3], height), weights(box[0], box[2], width)
    return rows @ probabilities.astype(np.float64) @ columns.T


def annulus(size):
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    return (np.hypot(x, y) < size / 2) & (np.hypot(x, y) > size / 4)


@pytest.mark.parametrize("box", HOSTILE_BOXES.values(), ids=HOSTILE_BOXES)
def test_pasted_mask_is_bilinear_formula_at_threshold(box):
    probabilities = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    expected = sampled(probabilities, box, HEIGHT, WIDTH)
    decided = np.abs(expected - 0.5) > 1e-4
    actual = in_full(paste(probabilities, box, HEIGHT, WIDTH).crop(), HEIGHT, WIDTH)
    assert decided.mean() > 0.99
    assert np.array_equal(actual[decided], expected[decided] >= 0.5)


def test_full_mask_fills_pixels_with_centres_in_its_box():
    crop = paste(np.ones((28, 28), np.float32), (10, 20, 31, 50), HEIGHT, WIDTH).crop()
    assert (crop.x, crop.y, crop.pixels.shape) == (10, 20, (30, 21))
    assert crop.pixels.all()


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="this CPU rounds otherwise"
)
@pytest.mark.parametrize("box", HOSTILE_BOXES.values(), ids=HOSTILE_BOXES)
def test_pixel_near_threshold_is_decided_as_in_pytorch(box):
    noise = np.random.default_rng(0).standard_normal((28, 28))
    probabilities = (0.5 + 1e-7 * noise).astype(np.float32)
    probabilities[4:9, 3:20] = 1
    box = np.float32(box)
    x = (torch.arange(WIDTH) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
    y = (torch.arange(HEIGHT) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
    grid = torch.stack((x.expand(HEIGHT, -1), y[:, None].expand(-1, WIDTH)), dim=2)
    values = torch.nn.functional.grid_sample(
        torch.from_numpy(probabilities)[None, None], grid[None], align_corners=False
    )
    expected = (values[0, 0] >= 0.5).numpy()
    actual = in_full(paste(probabilities, box, HEIGHT, WIDTH).crop(), HEIGHT, WIDTH)
    assert np.array_equal(actual, expected)


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="this CPU rounds otherwise"
)
def test_value_beyond_cells_is_sampled_as_in_pytorch():
    probabilities = np.random.default_rng(0).random((4, 4), dtype=np.float32)
    places = np.float32([-1e6, -3.5, -2, -1.5, -1, -0.5, 0, 0.25, 3, 3.5, 4, 4.5, 5, 6, 1e6])
    y, x = (side.ravel() for side in np.meshgrid(places, places, indexing="ij"))
    grid = (torch.from_numpy(np.stack((x, y), axis=1)) + 0.5) / 2 - 1
    values = torch.nn.functional.grid_sample(
        torch.from_numpy(probabilities)[None, None], grid[None, None], align_corners=False
    )
    assert np.array_equal(_sample(probabilities, y, x), values[0, 0, 0].numpy())


def test_near_pixels_are_sampled_in_parts_as_at_once(monkeypatch):
    noise = np.random.default_rng(0).standard_normal((28, 28))
    probabilities = (0.5 + 1e-7 * noise).astype(np.float32)
    at_once = paste(probabilities, HOSTILE_BOXES["ordinary"], HEIGHT, WIDTH)
    sampled = []

    def sample(*arguments: np.ndarray) -> np.ndarray:
        sampled.append(len(arguments[1]))
        return _sample(*arguments)

    monkeypatch.setattr(masks, "_sample", sample)
    monkeypatch.setattr(masks, "_SAMPLES_PER_PASS", 100)
    in_parts = paste(probabilities, HOSTILE_BOXES["ordinary"], HEIGHT, WIDTH)
    assert np.array_equal(in_parts.edges, at_once.edges)
    assert sampled[:-1] == [100] * (len(sampled) - 1)
    assert 0 < sampled[-1] <= 100
    assert len(sampled) > 5


def test_probability_at_threshold_belongs_to_mask():
    crop = paste(np.full((4, 4), 0.5, np.float32), (8, 8, 16, 16), HEIGHT, WIDTH).crop()
    assert crop.pixels[1:-1, 1:-1].all()


def test_paste_uses_given_threshold():
    probabilities = np.full((28, 28), 0.6, np.float32)
    assert paste(probabilities, (10, 10, 30, 30), HEIGHT, WIDTH, threshold=0.7).area() == 0
    assert paste(probabilities, (10, 10, 30, 30), HEIGHT, WIDTH, threshold=0.3).area() >= 400


def test_threshold_at_zero_is_a_mistake_of_the_program():
    with pytest.raises(AssertionError):
        paste(np.ones((28, 28), np.float32), (10, 10, 30, 30), HEIGHT, WIDTH, threshold=1e-5)


def test_crop_is_trimmed_to_mask():
    probabilities = np.zeros((28, 28), np.float32)
    probabilities[14, 14] = 1
    crop = paste(probabilities, (0, 0, 56, 56), HEIGHT, WIDTH).crop()
    assert crop.pixels.shape == (2, 2)
    assert crop.pixels.any(axis=0).all()
    assert crop.pixels.any(axis=1).all()


@pytest.mark.parametrize(
    ("probability", "box"),
    [
        (0.1, (10, 10, 30, 30)),
        (1.0, (200, 200, 300, 300)),
        (1.0, (9, 9, 9, 30)),
        (1.0, (9, 9, 30, 9)),
        (1.0, (30, 9, 9, 30)),
    ],
    ids=["nothing sure", "outside the image", "no width", "no height", "turned round"],
)
def test_mask_without_pixels_is_empty(probability, box):
    with np.errstate(divide="raise", invalid="raise"):
        mask = paste(np.full((28, 28), probability, np.float32), box, HEIGHT, WIDTH)
    assert (mask.area(), mask.edges.dtype) == (0, np.int64)
    crop = mask.crop()
    assert (crop.x, crop.y, crop.pixels.shape, crop.pixels.dtype) == (0, 0, (0, 0), np.bool_)
    assert encode_polygons(mask) is None
    assert encode_rle(mask).counts == _coco_counts(np.zeros((HEIGHT, WIDTH), np.uint8))


def _coco_counts(full):
    return coco.encode(np.asfortranarray(full))["counts"].decode()


@settings(deadline=None, max_examples=300)
@given(placed_masks())
def test_runs_hold_exactly_pixels_of_mask(full):
    mask = run_mask(full)
    assert np.array_equal(in_full(mask.crop(), *full.shape), full)
    assert mask.area() == full.sum()


@settings(deadline=None, max_examples=300)
@given(placed_masks())
def test_rle_equals_that_of_full_mask(full):
    rle = encode_rle(run_mask(full))
    assert rle.size == full.shape
    assert rle.counts == _coco_counts(full)


@settings(deadline=None, max_examples=300)
@given(placed_masks())
def test_polygons_rasterize_to_exactly_their_mask(full):
    check_polygons(full)


def visits(mask):
    """Return how often each ring of the polygons visits each of its points."""
    for polygon in mask.polygons:
        yield Counter(zip(polygon[::2], polygon[1::2], strict=True)).values()


def check_polygons(full):
    """Assert that every ring is simple, and that together they are exactly the mask."""
    polygons = encode_polygons(run_mask(full))
    if not full.any():
        assert polygons is None
        return
    assert all(set(counts) == {1} for counts in visits(polygons))
    for polygon in polygons.polygons:
        corners = np.array(polygon).reshape(-1, 2)
        steps = np.roll(corners, -1, axis=0) - corners
        # Each line follows pixel sides, and at each of its ends is a right angle.
        assert ((steps == 0).sum(axis=1) == 1).all()
        assert ((steps[:, 0] == 0) != (np.roll(steps, 1, axis=0)[:, 0] == 0)).all()
    assert np.array_equal(rasterized(polygons, *full.shape), full)


def test_polygon_rings_are_simple_for_every_small_mask():
    for height, width in [(1, 1), (2, 2), (2, 3), (3, 2), (3, 3), (3, 4), (4, 3)]:
        for bits in range(2 ** (height * width)):
            pixels = [bits >> place & 1 for place in range(height * width)]
            check_polygons(np.array(pixels, np.uint8).reshape(height, width))


@pytest.mark.parametrize("filled", [0.15, 0.4, 0.5, 0.6, 0.85])
def test_polygon_rings_are_simple_for_random_masks(filled):
    rng = np.random.default_rng(round(100 * filled))
    for _ in range(800):
        check_polygons((rng.random(rng.integers(1, 15, 2)) < filled).astype(np.uint8))


TOUCHING = {
    "a hole open at a corner": ["###", "#.#", "##."],
    "a hole of two pixels that touch": ["####", "#.##", "##.#", "####"],
    "a chain of such pixels": ["######", "#.####", "##.###", "###.##", "####.#", "######"],
    "two parts that touch": ["##..", "##..", "..##", "..##"],
    "parts in a ring of corners": [".#.", "#.#", ".#."],
    "a ring within a hole": ["#####", "#...#", "#.#.#", "#...#", "#####"],
    "a ring that touches its hole's": ["#####", "#...#", "#.#.#", "##.##", "#####"],
    "holes beside each other": ["#####", "#.#.#", "#####", "#.#.#", "#####"],
    "a checkerboard": ["#.#.#.", ".#.#.#", "#.#.#.", ".#.#.#"],
}


@pytest.mark.parametrize("rows", TOUCHING.values(), ids=TOUCHING)
def test_polygon_rings_are_simple_where_pixels_touch(rows):
    full = np.array([[sign == "#" for sign in row] for row in rows], np.uint8)
    for turned in (full, full[::-1], full[:, ::-1], full.T, np.pad(full, 1)):
        check_polygons(np.ascontiguousarray(turned))


@pytest.mark.parametrize(
    ("rows", "touches"),
    [(["##", "##"], False), (["#.", ".#"], True), (["#..", "..#"], False), (["##.", "..#"], True)],
)
def test_outlines_say_whether_parts_touch(rows, touches):
    mask = run_mask(np.array([[sign == "#" for sign in row] for row in rows]))
    for joined in (True, False):
        assert masks._loops(mask, np.zeros(0, np.int64), joined=joined).touches == touches


def test_polygons_need_no_cut_where_parts_only_touch():
    full = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.uint8)
    assert encode_polygons(run_mask(full)).polygons == [
        [0, 0, 2, 0, 2, 2, 0, 2],
        [2, 2, 3, 2, 3, 3, 2, 3],
    ]


def test_full_image_is_one_run_and_one_polygon():
    full = np.ones((6, 9), np.uint8)
    assert encode_polygons(run_mask(full)).polygons == [[0, 0, 9, 0, 9, 6, 0, 6]]
    assert encode_rle(run_mask(full)).counts == _coco_counts(full)


def test_ring_becomes_two_polygons_without_hole():
    full = in_full(MaskCrop(x=7, y=5, pixels=annulus(40)), 60, 60)
    polygons = encode_polygons(run_mask(full))
    assert len(polygons.polygons) == 2
    assert np.array_equal(rasterized(polygons, 60, 60), full)


def test_holes_below_each_other_share_cut():
    full = np.ones((20, 20), np.uint8)
    full[3:6, 4:12] = full[9:12, 8:16] = full[14:17, 6:10] = 0
    polygons = encode_polygons(run_mask(full))
    assert len(polygons.polygons) == 2
    assert np.array_equal(rasterized(polygons, 20, 20), full)


@pytest.mark.parametrize(("first", "parts"), [(8, 2), (9, 3)])
def test_holes_share_cut_along_their_common_side(first, parts):
    full = np.ones((20, 20), np.uint8)
    full[3:6, 4:8] = full[9:12, first:12] = 0
    polygons = encode_polygons(run_mask(full))
    assert len(polygons.polygons) == parts
    assert np.array_equal(rasterized(polygons, 20, 20), full)


def test_polygon_of_large_disc_has_only_corners():
    y, x = np.mgrid[:400, :400]
    disc = (x - 200) ** 2 + (y - 200) ** 2 < 190**2
    (polygon,) = encode_polygons(run_mask(disc)).polygons
    corners = np.array(polygon).reshape(-1, 2)
    steps = np.roll(corners, -1, axis=0) - corners
    assert ((steps == 0).sum(axis=1) == 1).all()
    assert ((steps[0::2, 0] == 0).all()) != ((steps[0::2, 1] == 0).all())
