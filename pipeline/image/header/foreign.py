"""Name the kind of a file that is not an accepted image, and say what its sender can do."""

_EXPORT = "Export it as JPEG or PNG, and send that."
_SEND = "Send the picture itself."
_BRANDS = {  # of ISO base media files, at offset 8
    b"heic": "a HEIC photo, as iPhones save them",
    b"heix": "a HEIC photo, as iPhones save them",
    b"hevc": "a HEIC photo, as iPhones save them",
    b"heim": "a HEIC photo, as iPhones save them",
    b"heis": "a HEIC photo, as iPhones save them",
    b"mif1": "a HEIF photo, as phones save them",
    b"msf1": "a HEIF photo, as phones save them",
    b"avif": "an AVIF image",
    b"avis": "an AVIF image",
    b"crx ": "a raw camera file",
}
_PICTURES = (
    (b"GIF8", "a GIF image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"II\xbc\x01", "a JPEG XR image"),
    (b"II\x2b\0", "a BigTIFF image"),
    (b"MM\0\x2b", "a BigTIFF image"),
    (b"IIU\0", "a raw camera file"),
    (b"IIRO", "a raw camera file"),
    (b"IIRS", "a raw camera file"),
    (b"FUJIFILMCCD-RAW", "a raw camera file"),
    (b"8BPS", "a Photoshop file"),
)
_OTHERS = (
    (b"%pdf", "a PDF document"),
    (b"%!ps", "a PostScript document"),
    (b"pk\x03\x04", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "a compressed file"),
    (b"<?xml", "an XML or SVG file"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"\x7felf", "a program"),
    (b"mz", "a program"),
)


def description(data: bytes) -> str | None:
    """Return the kind of the file and the remedy as two sentences, or None for an unknown kind."""
    if data[128:132] == b"DICM":
        return f"This is a DICOM file. {_EXPORT}"
    if data[4:8] == b"ftyp":
        name = _BRANDS.get(data[8:12], "a video or an image in a video container")
        return f"This is {name}. {_EXPORT}"
    for magic, name in _PICTURES:
        if data.startswith(magic):
            return f"This is {name}. {_EXPORT}"
    beginning = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for magic, name in _OTHERS:
        if beginning.startswith(magic):
            return f"This is {name}. {_SEND}"
    return None
