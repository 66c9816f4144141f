"""The colours of lesion classes, the same as on the clinician's page (viewer/colours.js)."""

from math import floor

Rgb = tuple[int, int, int]

# Class ids are in the order of severity: from a bright yellow over blue to a deep violet, each
# darker than the one before, so that the order can be read in grey and with any colour vision. None
# of them is a colour of tissue.
_RAMP: tuple[Rgb, ...] = (
    (255, 227, 77),  # yellow
    (111, 208, 245),  # sky blue
    (47, 128, 237),  # azure
    (122, 22, 196),  # violet
)
DARK: Rgb = (0, 0, 0)
LIGHT: Rgb = (255, 255, 255)


def colour_of(class_id: int, number_of_classes: int) -> Rgb:
    """Return the colour of a class of a model that has `number_of_classes`."""
    share = min(class_id / (number_of_classes - 1), 1.0) if number_of_classes > 1 else 1.0
    place = share * (len(_RAMP) - 1)
    index = min(floor(place), len(_RAMP) - 2)
    red, green, blue = (
        floor(before + (after - before) * (place - index) + 0.5)
        for before, after in zip(_RAMP[index], _RAMP[index + 1], strict=True)
    )
    return red, green, blue


def contrast_of(colour: Rgb) -> Rgb:
    """Return the colour of text on this one, and of the border of its lines."""
    red, green, blue = colour
    # Dark beside bright colours, by their luma (BT.601).
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else LIGHT
