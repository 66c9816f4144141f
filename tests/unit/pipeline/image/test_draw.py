import io

import numpy as np
import pytest
from PIL import Image

from pipeline.image import draw as drawing
from pipeline.image.draw import encode
from pipeline.instances import Lesion, MaskCrop

HEIGHT, WIDTH = 240, 320


def draw(image, lesions):
    return drawing.draw(image, lesions, 3)


def tissue(height=HEIGHT, width=WIDTH):
    return np.full((height, width, 3), (150, 140, 220), dtype=np.uint8)


def lesion(box=(100, 80, 200, 180), *, class_id=0, label="HSIL", score=0.92, mask=True):
    x1, y1, x2, y2 = box
    crop = MaskCrop(x=x1, y=y1, pixels=disc(y2 - y1, x2 - x1)) if mask else None
    return Lesion(class_id=class_id, label=label, score=score, box=box, mask=crop)


def disc(height, width):
    y, x = np.mgrid[:height, :width]
    return np.hypot((x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5) < 0.4


def changed(picture):
    return (picture != tissue(*picture.shape[:2])).any(axis=2)


def bounds(changes):
    rows, columns = np.flatnonzero(changes.any(axis=1)), np.flatnonzero(changes.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def test_draw_does_not_change_input():
    image = tissue()
    picture = draw(image, [lesion()])
    assert np.array_equal(image, tissue())
    assert changed(picture).any()


def test_draw_without_lesions_returns_copy():
    image = tissue()
    picture = draw(image, [])
    assert np.array_equal(picture, image)
    assert not np.shares_memory(picture, image)


def test_draw_changes_only_lesion_and_tag():
    x1, y1, x2, y2 = bounds(changed(draw(tissue(), [lesion()])))
    assert (x1, x2) == (99, 201) or (x1, x2) == (100, 200)
    assert y2 in (180, 181)
    assert 50 < y1 < 80  # the tag lies above the box


def test_mask_fill_keeps_tissue_visible():
    image = tissue()
    image[130, 150] = (0, 0, 0)
    picture = draw(image, [lesion()])
    inside, beside_it = picture[120, 150].astype(int), picture[130, 150].astype(int)
    assert (inside != tissue()[120, 150]).any()
    assert (np.abs(inside - beside_it) > 50).any()


def test_lesion_without_mask_has_only_box_and_tag():
    changes = changed(draw(tissue(), [lesion(mask=False)]))
    assert changes[80:180, 100].all()
    assert not changes[90:170, 110:190].any()


def test_each_class_has_its_own_color():
    together = draw(tissue(), [lesion(class_id=1), lesion((220, 80, 300, 180), class_id=2)])
    alone = draw(tissue(), [lesion((220, 80, 300, 180), class_id=2)])
    assert np.array_equal(together[130, 260], alone[130, 260])
    assert not np.array_equal(together[130, 150], together[130, 260])


def test_picture_depends_on_number_of_classes():
    pictures = [drawing.draw(tissue(), [lesion(class_id=1)], number) for number in (2, 3, 5)]
    assert len({picture.tobytes() for picture in pictures}) == 3


def test_lesion_with_higher_score_lies_on_top():
    surer, other = lesion(class_id=1), lesion(class_id=2, score=0.6)
    both = draw(tissue(), [surer, other])
    alone = draw(tissue(), [surer])
    assert np.array_equal(both[100:160, 100], alone[100:160, 100])


def test_tag_shows_class_and_score():
    tags = {
        draw(tissue(), [lesion(label=label, score=score)])[:80].tobytes()
        for label in ("HSIL", "LSIL")
        for score in (0.5, 0.92)
    }
    assert len(tags) == 4


def test_tag_rounds_score_half_up_and_below_100_percent():
    def picture(score):
        return draw(tissue(), [lesion(score=score)]).tobytes()

    assert picture(0.92451) == picture(0.925) != picture(0.924)
    assert picture(0.99999) == picture(0.999) != picture(1.0)


@pytest.mark.parametrize("label", ["Läsion", "поражение", "病変"])
def test_tag_shows_label_beyond_ascii(label):
    question_marks = draw(tissue(), [lesion(label="?" * len(label), mask=False)])
    assert not np.array_equal(draw(tissue(), [lesion(label=label, mask=False)]), question_marks)


@pytest.mark.parametrize("label", ["", "\ud800", "a\x00b\n\t", "\u202eLISH", "x" * 3000, "😀"])
def test_draws_hostile_label_without_crash(label):
    assert changed(draw(tissue(), [lesion(label=label)])).any()


BORDERS = {
    "upper left": (0, 0, 40, 30),
    "upper right": (WIDTH - 40, 0, WIDTH, 30),
    "lower left": (0, HEIGHT - 30, 40, HEIGHT),
    "lower right": (WIDTH - 40, HEIGHT - 30, WIDTH, HEIGHT),
    "everything": (0, 0, WIDTH, HEIGHT),
}


@pytest.mark.parametrize("box", BORDERS.values(), ids=BORDERS)
def test_tag_at_border_is_complete(box):
    tag_color = draw(tissue(), [lesion(mask=False)])[80, 100]

    def painted(box):
        with_tag = draw(tissue(), [lesion(box, mask=False)])
        return int((with_tag == tag_color).all(axis=2).sum()) - _frame(box)

    assert painted(box) >= 0.9 * painted((100, 80, 200, 180)) - 20


def _frame(box):
    return 2 * (box[2] - box[0]) + 2 * (box[3] - box[1]) - 4


def test_tags_at_same_place_do_not_overlap():
    boxes = [(100, 80, 200, 180), (102, 82, 202, 182), (98, 78, 198, 178)]
    lesions = [lesion(box, class_id=i, mask=False) for i, box in enumerate(boxes)]
    picture = draw(tissue(), lesions)
    for item in lesions:
        alone = draw(tissue(), [item])
        color = alone[int(item.box[1]) + 40, int(item.box[0])]
        own = (picture == color).all(axis=2).sum()
        assert own >= 0.7 * (alone == color).all(axis=2).sum()


@pytest.mark.parametrize("size", [(8, 8), (8, 400), (400, 8), (30, 40), (900, 1200)])
def test_draws_on_picture_of_any_size(size):
    height, width = size
    box = (width // 4, height // 4, width // 2, height // 2)
    picture = draw(tissue(height, width), [lesion(box)])
    assert picture.shape == (height, width, 3)
    assert changed(picture).any()


@pytest.mark.parametrize("at", [(0, 0), (WIDTH - 1, HEIGHT - 1), (50, 60)])
def test_draws_mask_of_one_pixel(at):
    x, y = at
    crop = MaskCrop(x=x, y=y, pixels=np.ones((1, 1), np.bool_))
    small_lesion = Lesion(0, "HSIL", 0.9, (x, y, x + 1, y + 1), crop)
    assert changed(draw(tissue(), [small_lesion])).any()


def test_skips_empty_mask():
    empty = MaskCrop(x=0, y=0, pixels=np.zeros((0, 0), np.bool_))
    box = (100, 80, 200, 180)
    picture = draw(tissue(), [Lesion(0, "HSIL", 0.92, box, empty)])
    assert np.array_equal(picture, draw(tissue(), [lesion(mask=False)]))


def test_lines_and_text_scale_with_picture():
    small = changed(draw(tissue(), [lesion(mask=False)]))
    large = changed(draw(tissue(2400, 3200), [lesion((1000, 800, 2000, 1800), mask=False)]))
    assert large.sum() > 25 * small.sum()  # ten times longer, and several times wider


def test_draws_on_view_of_another_array():
    image = tissue()[:, ::-1]
    assert np.array_equal(draw(image, [lesion()]), draw(tissue(), [lesion()]))


@pytest.mark.parametrize(("format", "tolerance"), [("jpeg", 12), ("png", 0)])
def test_encode_keeps_colors(format, tolerance):
    data = encode(tissue(), format)
    image = Image.open(io.BytesIO(data))
    assert image.format == format.upper()
    difference = np.asarray(image)[:, :, ::-1].astype(int) - tissue()
    assert np.abs(difference).max() <= tolerance
