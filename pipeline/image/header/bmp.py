import struct

from pipeline.errors import BrokenImage, UnsupportedImage
from pipeline.image.header.checks import check_size, cut_off, u16, u32
from pipeline.image.limits import ImageLimits

_UNCOMPRESSED = (0, 3)  # 3: uncompressed, with a bit mask for each channel
_CODINGS = {1: "run-length encoded", 2: "run-length encoded", 4: "JPEG-coded", 5: "PNG-coded"}
_BITS = (1, 4, 8, 16, 24, 32)


def read_size(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Return the stored width and height in pixels of a BMP file.

    Raise UnsupportedImage for a compressed file, ImageTooLarge or BrokenImage.
    """
    if len(data) < 26:
        raise cut_off("BMP")
    if u32(data, 14) == 12:
        size, bits, coding = (u16(data, 18), u16(data, 20)), u16(data, 24), 0
    elif len(data) < 54:
        raise cut_off("BMP")
    else:
        # A negative height says that the rows are stored from the top down.
        size = u32(data, 18), abs(struct.unpack_from("<i", data, 22)[0])
        bits, coding = u16(data, 28), u32(data, 30)
    if coding not in _UNCOMPRESSED:
        # Pillow decodes run lengths byte by byte in Python, which takes half a minute for a large
        # image.
        raise UnsupportedImage(
            f"The BMP image is {_CODINGS.get(coding, 'compressed')}; only uncompressed BMP is "
            "accepted. Export it as PNG or JPEG."
        )
    check_size(*size, limits)
    if bits not in _BITS:
        raise BrokenImage(
            f"The BMP image has {bits} bits per pixel, which the format does not allow. Export it "
            "again."
        )
    row = (size[0] * bits + 31) // 32 * 4
    if u32(data, 10) + row * size[1] > len(data):
        raise cut_off("BMP")
    return size
