from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from pipeline.errors import BadRequest, ImageTooLarge, UnsupportedImage
from serve_app.form import file_of

# Room for the boundaries and the part's headers around the file.
_FORM_OVERHEAD = 16 * 1024


async def read_image(request: Request, max_bytes: int) -> bytes:
    """The image that was posted, as the whole body or as the form's `file`.

    Raises BadRequest, UnsupportedImage and ImageTooLarge, the last without reading the body
    where its Content-Length tells.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedImage("A body with a Content-Encoding is not accepted.")
    content_type = request.headers.get("content-type", "")
    kind, _ = parse_options_header(content_type)
    if kind.startswith(b"image/"):
        return await _read(request, max_bytes)
    if kind == b"multipart/form-data":
        return file_of(await _read(request, max_bytes + _FORM_OVERHEAD), content_type)
    raise UnsupportedImage("Post the image as the body (image/*) or as `file` of a form.")


async def _read(request: Request, max_bytes: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
    except ClientDisconnect as error:
        raise BadRequest("The body ended early.") from error
    return bytes(body)


def _too_large(max_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(f"The body has more than {max_bytes} bytes.")
