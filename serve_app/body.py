from starlette.requests import ClientDisconnect, Request

from pipeline.errors import BadRequest, ImageTooLarge, UnsupportedImage
from pipeline.http.multipart import FRAME_BYTES, media_type, read_file


async def read_image(request: Request, max_bytes: int) -> bytes:
    """Return the bytes of the posted image: the whole body, or the part `file` of a form.

    Raise BadRequest, UnsupportedImage, or ImageTooLarge for more than `max_bytes`: before the body
    is read where Content-Length says so.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedImage("Content-Encoding is not supported; send the body uncompressed.")
    content_types = request.headers.getlist("content-type")
    content_type = content_types[0] if len(content_types) == 1 else ""
    kind = media_type(content_type)
    if kind.startswith("image/"):
        return await _read(request, max_bytes)
    if kind == "multipart/form-data":
        return read_file(content_type, await _read(request, max_bytes + FRAME_BYTES))
    raise UnsupportedImage("Post the image as the body (image/*) or as the part `file` of a form.")


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
        # Ray Serve's HTTP server drops the body of a request with an Upgrade header.
        raise BadRequest(
            f"The body has {len(body)} bytes, but Content-Length says {announced}. Send the whole "
            "body, without an Upgrade header."
        )
    return bytes(body)


def _too_large(max_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(f"The body has more than the {max_bytes} bytes that are allowed.")
