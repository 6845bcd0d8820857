"""The crops that a model sees."""

from __future__ import annotations

import pytest
from PIL import Image

from rap_plugin.vlm_r3.crops import EVALUATION, TRAINING, CropLimits, crop, crop_size, too_small, zoom


@pytest.mark.parametrize(
    ("share", "factor"), [(0.0, 2.0), (0.124, 2.0), (0.125, 2.0), (0.3125, 1.5), (0.5, 1.0), (1.0, 1.0)]
)
def test_small_regions_are_doubled_and_large_ones_stay(share: float, factor: float) -> None:
    assert zoom(share) == pytest.approx(factor)


def test_a_crop_shows_its_region_and_nothing_else() -> None:
    image = Image.new("RGB", (400, 300), "black")
    image.paste("red", (100, 50, 200, 150))
    shown = crop(image, (100, 50, 200, 150), CropLimits(28 * 28, 10**6))
    assert shown.size == (196, 196)  # 100 x 2, in multiples of 28
    assert shown.getcolors() == [(196 * 196, (255, 0, 0))]


@pytest.mark.parametrize("limits", [TRAINING, EVALUATION])
@pytest.mark.parametrize("region", [(0, 0, 5, 5), (0, 0, 4000, 3000), (10, 10, 14, 400), (0, 0, 3999, 40)])
def test_a_crop_keeps_to_its_pixels(region: tuple[int, int, int, int], limits: CropLimits) -> None:
    width, height = crop_size(region, (4000, 3000), limits)
    assert width % 28 == height % 28 == 0
    assert limits.min_pixels <= width * height <= limits.max_pixels


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "I;16", "1"])
def test_images_of_every_mode_are_cropped(mode: str) -> None:
    assert crop(Image.new(mode, (64, 64)), (3, 3, 40, 40), TRAINING).mode in ("RGB", "L")


def test_a_line_or_a_dot_is_too_small() -> None:
    assert too_small((0, 0, 3, 50), 4)
    assert too_small((0, 0, 1000, 5), 4)
    assert not too_small((0, 0, 4, 4), 4)
