from itertools import combinations

import numpy as np
import pytest

from pipeline.image.colours import DARK, LIGHT, colour_of, contrast_of

NUMBERS = [2, 3, 4, 5, 8]

# The simulations of Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SIGHTS = {
    "trichromat": np.eye(3),
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanope": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "in grey": [[0.2126, 0.7152, 0.0722]] * 3,
}


def linear(colour):
    channels = np.array(colour) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """Return CIE L*a*b* (D65) of linear RGB."""
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.clip(matrix @ rgb, 0, None) / (0.9505, 1, 1.089)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * 841 / 108 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def seen(class_id, number, sight):
    return lab(np.clip(np.array(SIGHTS[sight]) @ linear(colour_of(class_id, number)), 0, 1))


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("number", NUMBERS)
def test_each_class_is_darker_than_the_one_before(sight, number):
    lightness = [seen(class_id, number, sight)[0] for class_id in range(number)]
    assert lightness == sorted(lightness, reverse=True)
    assert lightness[0] - lightness[-1] > 45


@pytest.mark.parametrize("sight", SIGHTS)
def test_three_classes_can_be_told_apart(sight):
    for one, other in combinations(range(3), 2):
        difference = seen(one, 3, sight) - seen(other, 3, sight)
        assert np.linalg.norm(difference) > 20


@pytest.mark.parametrize("number", [1, *NUMBERS])
def test_worst_class_is_never_green(number):
    red, green, blue = colour_of(number - 1, number)
    assert green < red < blue


def test_single_class_has_colour_of_worst():
    assert colour_of(0, 1) == colour_of(2, 3)


def test_class_beyond_number_has_colour_of_worst():
    assert colour_of(9, 3) == colour_of(2, 3)


@pytest.mark.parametrize("number", NUMBERS)
def test_text_on_colour_has_contrast_of_wcag(number):
    for class_id in range(number):
        colour = colour_of(class_id, number)
        contrast = contrast_of(colour)
        weights = (0.2126, 0.7152, 0.0722)
        low, high = sorted(float(np.dot(weights, linear(each))) for each in (colour, contrast))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_contrast_is_dark_on_mildest_and_light_on_worst():
    assert (contrast_of(colour_of(0, 3)), contrast_of(colour_of(2, 3))) == (DARK, LIGHT)
