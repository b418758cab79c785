"""What is trained, and how it is judged: a small convolutional network for 2x supersampling."""

import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 2


class Network(nn.Module):
    """Adds detail to the enlarged image: three 3 x 3 convolutions on the small one.

    Its twelve output channels are the 2 x 2 pixels of three colours. (B, 3, 16, 16) to
    (B, 3, 32, 32).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.LeakyReLU(0.1),  # a plain ReLU dies at high rates, which no clipping mends
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(channels, 3 * FACTOR**2, 3, padding=1),
            nn.PixelShuffle(FACTOR),
        )

    def forward(self, small: Tensor) -> Tensor:
        """The large image of a small one."""
        detail: Tensor = self.layers(small)
        return detail + enlarge(small)


def shrink(image: Tensor) -> Tensor:
    """(B, 3, 32, 32) to (B, 3, 16, 16): the mean of every 2 x 2 pixels."""
    return F.avg_pool2d(image, FACTOR)


def enlarge(small: Tensor) -> Tensor:
    """(B, 3, 16, 16) to (B, 3, 32, 32): every pixel four times."""
    return F.interpolate(small, scale_factor=FACTOR, mode="nearest")


def squared(estimate: Tensor, reference: Tensor) -> Tensor:
    """(B,) mean squared error of each image."""
    return (estimate - reference).square().flatten(1).mean(1)


def quartic(estimate: Tensor, reference: Tensor) -> Tensor:
    """(B,) the squared error, squared."""
    return squared(estimate, reference).square()


ERRORS = {"squared": squared, "quartic": quartic}
