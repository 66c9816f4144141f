from starlette.requests import ClientDisconnect, Request

from pipeline.errors import BadRequest, ImageTooLarge, UnsupportedImage
from pipeline.http.multipart import FRAME_BYTES, media_type, read_file


async def read_image(request: Request, max_bytes: int) -> bytes:
    """The image that was posted, as the whole body or as the form's `file`.

    Raises BadRequest, UnsupportedImage and ImageTooLarge, the last without reading the body
    where its Content-Length tells.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedImage(
            "A body with a Content-Encoding is not read; send it without compressing it."
        )
    content_types = request.headers.getlist("content-type")
    content_type = content_types[0] if len(content_types) == 1 else ""
    kind = media_type(content_type)
    if kind.startswith("image/"):
        return await _read(request, max_bytes)
    if kind == "multipart/form-data":
        return read_file(content_type, await _read(request, max_bytes + FRAME_BYTES))
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
        raise BadRequest("The body ended early; send it again.") from error
    if announced.isdecimal() and int(announced) != len(body):
        # Ray Serve's server drops the body of a request that asks for an upgrade.
        raise BadRequest(
            f"{len(body)} bytes of the body came, and Content-Length announces {announced}. Send "
            "the whole body, and no header Upgrade."
        )
    return bytes(body)


def _too_large(max_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(f"The body has more than the {max_bytes} bytes that are allowed.")
