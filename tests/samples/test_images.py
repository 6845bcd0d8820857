"""Images: every way to refer to one, every way for one to be unusable."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageFile

from rap_plugin.samples import fetch as fetch_module
from rap_plugin.samples import images as images_module
from rap_plugin.samples.images import FirstOf, check_image, image_bytes, image_size, open_image
from rap_plugin.samples.sample import ImageProblem

from .make import blank_png, picture

CAP = 64_000_000
DATA = picture(1)
BASE64 = base64.b64encode(DATA).decode()


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "a b.png").write_bytes(DATA)
    (tmp_path / "images" / "side.png").write_bytes(DATA)
    (tmp_path / "link.png").symlink_to(tmp_path / "a b.png")
    return tmp_path


@pytest.mark.parametrize(
    "reference",
    [
        DATA,
        bytearray(DATA),
        "a b.png",
        "side.png",
        "images/side.png",
        "images/../a b.png",
        "link.png",
        "{root}/a b.png",
        "file://{root}/a b.png",
        "file://{root}/a%20b.png",
        FirstOf(("gone.png", "side.png")),
        BASE64,
        "\n".join(BASE64[i : i + 76] for i in range(0, len(BASE64), 76)),
        f"data:image/png;base64,{BASE64}",
        {"bytes": DATA, "path": "gone.png"},
        {"bytes": None, "path": "side.png"},
        {"bytes": BASE64, "path": None},
        {"type": "image", "image": "side.png"},
        {"url": f"data:image/png;base64,{BASE64}"},
        {"image_url": {"url": "file://{root}/a b.png"}},
    ],
    ids=lambda reference: repr(reference)[:40],
)
def test_every_kind_of_reference_gives_the_file_byte_for_byte(root: Path, reference: Any) -> None:
    if isinstance(reference, str):
        reference = reference.replace("{root}", str(root))
    if isinstance(reference, dict) and "image_url" in reference:
        reference = {"image_url": {"url": f"file://{root}/a b.png"}}
    assert image_bytes(reference, root, allow_urls=False) == DATA


def test_a_pil_image_is_encoded_without_loss(root: Path) -> None:
    for mode in ("RGB", "RGBA", "L", "P", "CMYK"):
        image = Image.open(io.BytesIO(DATA)).convert(mode)
        data = image_bytes(image, root, allow_urls=False)
        assert open_image(data).tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize(
    ("reference", "status", "reason"),
    [
        ("gone.png", "unreadable_image", "no such file 'gone.png' below "),
        ("file:///gone.png", "unreadable_image", "no such file '/gone.png'"),
        ("images", "unreadable_image", "'images' is a folder"),
        ("pipe", "unreadable_image", "'pipe' is no regular file"),
        ("x\0y", "unreadable_image", "no such file"),
        ("n" * 300, "unreadable_image", "no such file"),
        ("n" * 5000, "unreadable_image", "a long text that is no base64 image"),
        (FirstOf(("images/gone.png", "gone.png")), "unreadable_image", "no such file 'images/gone.png', 'gone.png'"),
        ("http://localhost/a.png", "unreadable_image", "URLs are fetched only with --allow-urls"),
        ("s3://bucket/a.png", "unreadable_image", "s3:// is not a kind of URL that is read"),
        ("data:image/png;base64,####", "unreadable_image", "damaged base64"),
        ("data:image/png", "unreadable_image", "a data: URL without data"),
        ({"bytes": None, "path": None}, "unreadable_image", "neither bytes nor a path"),
        (7, "unreadable_image", "a int is no image reference"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_reference_to_nothing_says_so(root: Path, reference: Any, status: str, reason: str) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(ImageProblem) as problem:
        image_bytes(reference, root, allow_urls=False)
    assert problem.value.status == status
    assert reason in problem.value.reason


def test_files_bytes_and_base64_beyond_their_bounds_are_too_large(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(images_module, "MAX_REMOTE_BYTES", 100)
    for reference in ("a b.png", DATA, {"bytes": DATA}, f"data:image/png;base64,{'A' * 9000}", "A" * 9000):
        with pytest.raises(ImageProblem) as problem:
            image_bytes(reference, root, allow_urls=False)
        assert problem.value.status == "too_large"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_common_kinds_are_decoded_whole_and_a_cut_one_is_not(kind: str) -> None:
    data = saved(Image.open(io.BytesIO(picture(2, (60, 40)))), kind)
    assert check_image(data, CAP) == image_size(data) == open_image(data).size == (60, 40)
    with pytest.raises(ImageProblem) as problem:
        check_image(data[: len(data) * 2 // 3], CAP)
    assert problem.value.status == "unreadable_image"
    assert f"damaged {kind}" in problem.value.reason


def test_a_cut_image_is_found_where_the_process_lets_them_pass_and_goes_on_letting_them(monkeypatch: Any) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert open_image(DATA[:-60])
    with ThreadPoolExecutor(4) as threads:
        found = [future.exception() for future in [threads.submit(check_image, DATA[:-60], CAP) for _ in range(40)]]
    assert {type(error) for error in found} == {ImageProblem}
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_the_pixel_cap_holds_before_decoding_whatever_pillow_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = blank_png(30_000, 30_000)
    for limit in (None, 1):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(ImageProblem) as problem:
            check_image(bomb, CAP)
        assert problem.value.status == "too_large"
        assert "30,000 x 30,000 = 900,000,000 pixels, more than pool.max_pixels = 64,000,000" in problem.value.reason
        assert check_image(blank_png(1000, 1000), 1_000_000) == (1000, 1000)
        assert open_image(blank_png(1000, 1000)).getpixel((0, 0)) == (0, 0, 0)
    # A cap that the user raises is meant: Pillow alone would refuse beyond 179 million.
    assert check_image(blank_png(20_000, 10_000), 200_000_000) == (20_000, 10_000)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty: 0 bytes"),
        (b"hello, this is text", "not an image but text"),
        (b"\x89PNG\r\n\x1a\n", "damaged PNG header"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image but SVG"),
    ],
)
def test_what_is_no_image_says_what_it_starts_with(data: bytes, reason: str) -> None:
    with pytest.raises(ImageProblem) as problem:
        check_image(data, CAP)
    assert problem.value.status == "unreadable_image"
    assert reason in problem.value.reason


def test_pictures_are_upright_and_their_size_is_the_upright_one() -> None:
    image = Image.new("RGB", (30, 10), "red")
    image.paste("blue", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(image, "JPEG", exif=exif, quality=95)
    assert check_image(data, CAP) == image_size(data) == open_image(data).size == (10, 30)
    red, _, blue = open_image(data).getpixel((5, 2))
    assert blue > 200 > 60 > red


def test_transparency_lies_on_white() -> None:
    drawing = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    drawing.putpixel((1, 1), (0, 0, 0, 255))
    grey = Image.new("LA", (4, 4), (0, 0))
    palette = saved(drawing.quantize(), "PNG")
    for data in (saved(drawing), saved(grey), saved(drawing, "WEBP", lossless=True), palette):
        shown = open_image(data)
        assert shown.mode == "RGB"
        assert shown.getpixel((3, 3)) == (255, 255, 255)
    assert open_image(saved(drawing)).getpixel((1, 1)) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "I", "F", "CMYK", "YCbCr", "LAB"])
def test_what_passes_the_check_can_be_opened(mode: str) -> None:
    image = Image.new("RGB", (5, 5), "green")
    if mode == "LAB":
        source, target = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, source, target, outputMode="LAB")
    elif mode == "I;16":
        image = Image.new("I;16", (5, 5), 200)
    else:
        image = image.convert(mode)
    data = saved(image, "TIFF")
    try:
        assert check_image(data, CAP) == (5, 5)
    except ImageProblem:
        with pytest.raises(ImageProblem):
            open_image(data)
    else:
        assert open_image(data).mode == "RGB"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.new("I;16", (5, 5), 40_000), "grey values from 40000 to 40000, of which models see white"),
        (Image.new("I", (5, 5), 256), "of which models see white; save it with 8 bits"),
        (Image.new("F", (5, 5), 1e4), "of which models see white"),
        (
            Image.merge("RGB", [Image.linear_gradient("L")] * 3).convert("F").point(lambda value: value / 255),
            "models see black",
        ),
    ],
)
def test_shades_that_no_model_would_see_are_no_picture(image: Image.Image, said: str) -> None:
    with pytest.raises(ImageProblem, match=said) as raised:
        check_image(saved(image, "TIFF"), CAP)
    assert raised.value.status == "unreadable_image"


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/a.png":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(DATA)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/a.png")
            self.end_headers()
        elif self.path == "/file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif self.path == "/ftp":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/a.png")
            self.end_headers()
        elif self.path == "/trickle":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nA: ")
            with contextlib.suppress(OSError):  # the client has hung up
                while True:
                    self.wfile.write(b"a")
                    time.sleep(0.02)
        elif self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), _Pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_urls_are_fetched_when_allowed_within_bounds(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert image_bytes(f"{server}/a.png", tmp_path, allow_urls=True) == DATA
    assert image_bytes({"url": f"{server}/moved"}, tmp_path, allow_urls=True) == DATA
    failures = {
        "/file": "is not allowed",
        "/ftp": "unknown url type: ftp",
        "/gone": "the server answered 404",
        "/loop": "302",
    }
    for page, reason in failures.items():
        with pytest.raises(ImageProblem) as problem:
            image_bytes(server + page, tmp_path, allow_urls=True)
        assert problem.value.status == "unreadable_image"
        assert reason in problem.value.reason
    with pytest.raises(ImageProblem, match="gives more than 0 MB"):
        fetch_module.fetch(f"{server}/a.png", len(DATA) - 1)
    with pytest.raises(ImageProblem, match="not fetched"):
        image_bytes("http://127.0.0.1:1/a.png", tmp_path, allow_urls=True)
    monkeypatch.setattr(fetch_module, "DEADLINE_S", -1.0)
    with pytest.raises(ImageProblem, match="no whole image within"):
        image_bytes(f"{server}/a.png", tmp_path, allow_urls=True)
    monkeypatch.setattr(fetch_module, "DEADLINE_S", 0.3)
    with pytest.raises(ImageProblem, match="no whole image within"):
        image_bytes(f"{server}/trickle", tmp_path, allow_urls=True)


def test_a_confined_pool_reads_nothing_outside_its_folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "other.png"
    outside.write_bytes(DATA)
    (root / "out.png").symlink_to(outside)
    (root / "inside.png").write_bytes(DATA)
    (root / "near.png").symlink_to(root / "inside.png")
    ways = (str(outside), os.path.relpath(outside, root), f"file://{outside}", "out.png", {"path": str(outside)})
    for way in ways:
        assert image_bytes(way, root, allow_urls=False) == DATA
        with pytest.raises(ImageProblem, match=r"leads out of the pool's folder \(pool.confined\)"):
            image_bytes(way, root, allow_urls=False, confined=True)
    with pytest.raises(ImageProblem) as problem:
        image_bytes("/etc/no-such-file", root, allow_urls=False, confined=True)
    assert "no such file" in problem.value.reason
    for way in ("inside.png", "near.png", DATA):
        assert image_bytes(way, root, allow_urls=False, confined=True) == DATA


def test_a_folder_and_a_pipe_are_called_what_they_are(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    (root / "folder.png").mkdir()
    for name, kind in (("pipe.png", "no regular file"), ("folder.png", "a folder")):
        with pytest.raises(ImageProblem, match=f"'{name}' is {kind}"):
            image_bytes(name, root, allow_urls=False)


def test_no_byte_of_a_file_that_is_no_image_is_repeated(root: Path) -> None:
    (root / "secret.png").write_bytes(b"root:$6$saltsaltsalt:19000::::::\n")
    with pytest.raises(ImageProblem) as problem:
        check_image(image_bytes("secret.png", root, allow_urls=False), CAP)
    assert problem.value.reason == "not an image but text"
