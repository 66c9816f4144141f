import pytest

from pipeline.errors import UnsupportedImage
from pipeline.image.inspect import inspect


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(50), "a HEIC photo, as iPhones save them. Export it as"),
        (b"\0\0\0\x1cftypavif" + bytes(50), "an AVIF image"),
        (b"\0\0\0\x20ftypisom" + bytes(50), "This is a video or an image in a video container"),
        (b"\xef\xbb\xbf" + b" \t\r\n" * 10 + b"<SVG>", "This is an SVG drawing"),
        (b"X<svg>", "This is not an image of a known format"),
        (bytes(128) + b"DICM" + bytes(50), "a DICOM file"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "a JPEG XL image"),
        (b"II\x2b\0\x08\0\0\0" + bytes(50), "a BigTIFF image"),
        (b"FUJIFILMCCD-RAW " + bytes(50), "a raw camera file"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", "an XML or SVG file"),
        (b"%PDF-1.7", "a PDF document. Send the picture itself"),
    ],
)
def test_rejection_names_kind_of_file_and_remedy(data, words):
    with pytest.raises(UnsupportedImage, match=words) as refusal:
        inspect(data)
    assert "Accepted are JPEG, PNG, TIFF, WEBP, BMP." in str(refusal.value)
    assert len(str(refusal.value)) < 300
