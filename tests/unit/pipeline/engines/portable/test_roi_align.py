"""Test that our ROIAlign equals torchvision's for any box."""

import pytest
import torch
from torchvision.ops import roi_align as torchvision_roi_align

from pipeline.engines.portable.roi_align import roi_align

HEIGHT, WIDTH, STRIDE = 20, 30, 4

BOXES = {
    "small": [10.2, 11.7, 19.9, 30.1],
    "large": [0.0, 0.0, 120.0, 80.0],
    "long": [0.3, 40.0, 119.0, 43.0],
    "beyond every edge": [-30.0, -25.0, 170.0, 111.0],
    "outside": [200.0, 200.0, 260.0, 240.0],
    "without a side": [50.0, 30.0, 50.0, 60.0],
    "a point": [50.0, 30.0, 50.0, 30.0],
    "turned over": [60.0, 50.0, 40.0, 30.0],
}


def pool_both_ways(
    boxes, images, resolution=7, sampling_ratio=0, aligned=True, dtype=torch.float32
):
    torch.manual_seed(0)
    feature = torch.randn(2, 8, HEIGHT, WIDTH).to(memory_format=torch.channels_last)
    rois = torch.cat((images[:, None].float(), boxes), dim=1)
    expected = torchvision_roi_align(feature, rois, resolution, 1 / STRIDE, sampling_ratio, aligned)
    actual = roi_align(
        feature.to(dtype), boxes, images, resolution, STRIDE, sampling_ratio, aligned
    )
    return actual, expected


@pytest.mark.parametrize("sampling_ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("resolution", [7, 14])
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_pools_box_as_torchvision_does(box, resolution, aligned, sampling_ratio):
    actual, expected = pool_both_ways(
        torch.tensor([box]), torch.tensor([1]), resolution, sampling_ratio, aligned
    )
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_boxes_of_several_images_keep_their_order():
    torch.manual_seed(1)
    corner = torch.rand(200, 2) * torch.tensor([130.0, 90.0]) - 10
    boxes = torch.cat((corner, corner + torch.rand(200, 2) ** 3 * 100), dim=1)
    actual, expected = pool_both_ways(boxes, torch.randint(0, 2, (200,)))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_result_without_boxes_is_empty():
    actual, expected = pool_both_ways(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert actual.shape == expected.shape == (0, 8, 7, 7)
