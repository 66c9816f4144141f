import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.errors import BrokenImage, UnsupportedImage
from pipeline.image.header.checks import check_exif, check_parts, check_size, cut_off, u16
from pipeline.image.limits import ImageLimits

# A marker that begins a segment, or EOI. In entropy-coded data 0xFF is followed by 0x00, by the
# code of a restart marker or by another 0xFF; these begin no segment anywhere else either.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]", re.DOTALL)
_EOI, _SOS, _APP0, _APP1, _APP14, _COM = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2

# Each scan of a progressive image passes over all its pixels. libjpeg's own script has 10 scans,
# which hold 14 components together; for CMYK they hold 24.
_MAX_SCANS = 64
_MAX_SCANNED_PIXELS = 24 * 50_000_000

_PRECISE = (
    "The JPEG image has {} bits per sample; 8 are needed. Export it as an 8-bit JPEG, or as a "
    "16-bit PNG or TIFF."
)
_SCAN_HEADER = "A scan header of the JPEG image is damaged. Export or transfer it again."
_CODING = (
    "The JPEG image is {}; ordinary baseline and progressive JPEG are accepted. Export it as one "
    "of these or as PNG."
)


def read_size(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Return the stored width and height in pixels of a JPEG file.

    Raise UnsupportedImage for a coding that is not accepted, ImageTooLarge, or BrokenImage where a
    segment, a component or a scan is missing.
    """
    frame = read_frame(data, limits)
    return frame.width, frame.height


def read_frame(data: bytes, limits: ImageLimits) -> "Frame":
    """Return the frame of a JPEG file. Raise what `read_size` raises."""
    frame: Frame | None = None
    exif_bytes = 0
    for marker, start, end in _segments(data):
        if marker in _FRAMES:
            if frame is not None:
                raise BrokenImage("The JPEG image has two frame headers. Export it again.")
            frame = _read_frame(marker, data[start:end], limits)
        elif marker == _SOS:
            if frame is None:
                raise BrokenImage("The JPEG image has no frame header. Export it again.")
            frame.add_scan(data[start:end])
        elif marker == _APP1 and data.startswith(b"Exif\0\0", start):
            exif_bytes += end - start  # Pillow joins these segments in quadratic time
    if frame is None or not frame.scans:
        raise BrokenImage("The JPEG image has no pixel data. Export or transfer it again.")
    check_exif(exif_bytes)
    frame.check_complete()
    return frame


@dataclass(slots=True)
class Frame:
    """The frame header (ITU-T T.81, B.2.2), and what the scans read so far contain.

    `lowest_bits` holds, by component, the lowest bit that a scan contains of each of the 64
    coefficients; None before the first scan of a coefficient.
    """

    width: int
    height: int
    progressive: bool
    components: tuple[int, ...]
    scans: int = 0
    scanned_pixels: int = 0
    lowest_bits: dict[int, list[int | None]] = field(default_factory=dict)

    def add_scan(self, segment: bytes) -> None:
        """Record the coefficients that a scan contains, from its scan header (T.81, B.2.3)."""
        count = segment[0] if segment else 0
        if not 1 <= count <= 4 or len(segment) != 4 + 2 * count:
            raise BrokenImage(_SCAN_HEADER)
        components = segment[1 : 1 + 2 * count : 2]
        first, last, bits = segment[-3:]
        if not self.progressive:
            first, last, bits = 0, 63, 0
        if first > last or last > 63 or not set(components) <= set(self.components):
            raise BrokenImage(_SCAN_HEADER)
        self.scans += 1
        self.scanned_pixels += count * self.width * self.height
        if self.scans > _MAX_SCANS or self.scanned_pixels > _MAX_SCANNED_PIXELS:
            raise BrokenImage("The JPEG image has more scans than any real image. Export it again.")
        for component in components:
            lowest = self.lowest_bits.setdefault(component, [None] * 64)
            lowest[first : last + 1] = [bits & 0x0F] * (last + 1 - first)

    def check_complete(self) -> None:
        """Raise BrokenImage where a component, or a refinement of one, is missing.

        libjpeg warns of neither: it returns the picture without colours, or blurred.
        """
        for component in self.components:
            lowest = self.lowest_bits.get(component, [None])
            if any(bit != 0 for bit in lowest):
                raise BrokenImage(
                    "The JPEG image is cut off: scans of it are missing. Export or transfer it "
                    "again."
                )


def _read_frame(marker: int, segment: bytes, limits: ImageLimits) -> Frame:
    if len(segment) < 6:
        raise cut_off("JPEG")
    precision, height, width, count = struct.unpack_from(">BHHB", segment)
    check_size(width, height, limits)
    if marker in (0xC3, 0xC7, 0xCB, 0xCF):
        raise UnsupportedImage(_CODING.format("lossless"))
    if marker > 0xC8:
        raise UnsupportedImage(_CODING.format("arithmetic-coded"))
    if marker > _PROGRESSIVE:
        raise UnsupportedImage(_CODING.format("hierarchical"))
    if precision != 8:
        raise BrokenImage(_PRECISE.format(precision))
    if count not in (1, 3, 4):
        raise BrokenImage(
            f"The JPEG image has {count} components; 1 (grey), 3 (colour) or 4 (CMYK) are "
            "accepted. Export it again."
        )
    components, factors = tuple(segment[6::3]), tuple(segment[7::3])
    if len(segment) != 6 + 3 * count or len(set(components)) != count:
        raise BrokenImage("The header of the JPEG image is damaged. Export or transfer it again.")
    if count > 1 and not _is_common_sampling(*factors):
        raise UnsupportedImage(_CODING.format("of an unusual chroma sampling"))
    return Frame(width, height, marker == _PROGRESSIVE, components)


def _is_common_sampling(first: int, second: int, third: int, last: int = 0) -> bool:
    """Return whether libjpeg-turbo's own interface has a name for the sampling factors.

    The names are 4:4:4, 4:2:2, 4:4:0, 4:2:0, 4:1:1 and 4:4:1. Factors are 0xHV, by component.
    """
    return (
        second == third
        and last in (0, first)
        and (
            second == first
            or (second == 0x11 and first in (0x21, 0x12, 0x22, 0x41, 0x14))
            or (first == 0x22 and second in (0x12, 0x21))
        )
    )


def without_oddities(data: bytes) -> bytes:
    """Return the file without headers that no pixel needs, and with valid values in the others.

    Metadata and bytes between the segments of a header are left out. Some cameras write a version
    of JFIF, a colour transform of Adobe or bounds of a baseline scan that do not exist. libjpeg
    warns of them in the same way as of lost pixels; here they become the values by which libjpeg
    decodes. Raise BrokenImage where the file ends without EOI.
    """
    frame = next((segment for segment in _segments(data) if segment[0] in _FRAMES), None)
    if frame is None:
        return data
    progressive, components = frame[0] == _PROGRESSIVE, data[frame[1] + 5]
    parts, position, in_scan = [data[:2]], 2, False
    for marker, start, end in _segments(data):
        if in_scan:  # the bytes before the marker are pixel data
            parts.append(data[position : start - 4])
        if marker in (_APP0, _APP14) or not _APP0 <= marker <= _COM:
            content = _without_oddity(marker, data[start:end], progressive, components)
            parts.append(data[start - 4 : start] + content)
        position, in_scan = end, marker == _SOS
    return b"".join((*parts, data[position:]))


def _without_oddity(marker: int, content: bytes, progressive: bool, components: int) -> bytes:
    if marker == _SOS and not progressive:
        return content[:-3] + b"\0\x3f\0"
    if marker == _APP0 and content.startswith(b"JFIF\0") and len(content) > 5:
        return content[:5] + b"\1" + content[6:]
    if marker == _APP14 and content.startswith(b"Adobe") and len(content) > 11:
        ycc = 2 if components == 4 else 1
        return content if content[11] in (0, ycc) else content[:11] + bytes([ycc]) + content[12:]
    return content


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start of content, end of content) of each segment before EOI.

    Bytes after EOI are ignored. Raise BrokenImage where the file ends without EOI.
    """
    position, parts, in_scan = 2, 0, False
    while match := _MARKER.search(data, position):
        parts += 1 if in_scan else 1 + match.start() - position
        check_parts(parts)
        marker, position = data[match.start() + 1], match.end()
        if marker == _EOI:
            return
        if position + 2 > len(data):
            break
        start, end = position + 2, position + u16(data, position, ">")
        if end < start or end > len(data):
            break
        yield marker, start, end
        position, in_scan = end, in_scan or marker == _SOS
    raise cut_off("JPEG")
