"""The images: CIFAR-10 from its own files, or crops of photographs that installed packages ship."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoclip_sep.errors import InputError

SIDE = 32  # pixels
RECORD = 1 + 3 * SIDE * SIDE  # bytes of one CIFAR-10 image: its label, then red, green, blue
PER_FILE = 10_000
FOLDER = "cifar-10-batches-bin"  # what the archive unpacks to
CIFAR10_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
CIFAR10_TEST = ("test_batch.bin",)

# Package, file. The test photographs are seen nowhere else.
TRAIN_PHOTOGRAPHS = (
    ("sklearn", "datasets/images/flower.jpg"),
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/rocket.jpg"),
)
TEST_PHOTOGRAPHS = (("sklearn", "datasets/images/china.jpg"), ("skimage", "data/chelsea.png"))
TRAIN_STRIDE, TEST_STRIDE = SIDE // 2, SIDE  # pixels between the crops of a photograph


@dataclass(frozen=True)
class Images:
    """Images of 32 x 32 pixels; fingerprint: the sha256 of them all.

    train, test: (N, 3, 32, 32) uint8.
    """

    train: Tensor
    test: Tensor
    fingerprint: str

    @cached_property
    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the training images' pixels."""
        pixels = self.train.float()
        return pixels.mean(), pixels.std()

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels on the scale of errors: the training images have mean 0 and variance 1."""
        mean, deviation = self.scale
        return (pixels.float() - mean) / deviation


def read(name: str, root: str | None) -> Images:
    """The images of a name, `photographs` or `cifar10`.

    root: the folder of CIFAR-10's binary files. Raises InputError where something is missing or
    isn't what it should be.
    """
    if name == "cifar10":
        if root is None:
            raise InputError(
                "images=cifar10 needs root=FOLDER, the one with data_batch_1.bin to test_batch.bin "
                "(CIFAR-10's binary version)"
            )
        folder = Path(root)
        if (folder / FOLDER).is_dir():
            folder /= FOLDER
        train, test = cifar10(folder, CIFAR10_TRAIN), cifar10(folder, CIFAR10_TEST)
    elif root is not None:
        raise InputError(f"root={root}: only images=cifar10 has a folder")
    else:
        train = torch.cat([crops(photograph(*one), TRAIN_STRIDE) for one in TRAIN_PHOTOGRAPHS])
        test = torch.cat([crops(photograph(*one), TEST_STRIDE) for one in TEST_PHOTOGRAPHS])
    digest = hashlib.sha256(train.numpy().tobytes() + test.numpy().tobytes()).hexdigest()
    return Images(train, test, digest)


def cifar10(folder: Path, names: tuple[str, ...]) -> Tensor:
    """(N, 3, 32, 32) uint8 of CIFAR-10's binary files; their labels are checked and left out."""
    parts = []
    for name in names:
        path = folder / name
        if not path.is_file():
            there = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else None
            found = "no such folder" if there is None else f"it holds {', '.join(there[:5])}"
            raise InputError(f"{path} is not there ({found}): root= needs CIFAR-10's .bin files")
        content = np.fromfile(path, dtype=np.uint8)
        if content.size != PER_FILE * RECORD:
            raise InputError(
                f"{path} has {content.size:,} bytes, CIFAR-10's has {PER_FILE * RECORD:,}: "
                "fetch it again"
            )
        records = content.reshape(PER_FILE, RECORD)
        if records[:, 0].max() > 9:
            raise InputError(f"{path} has labels above 9: not a file of CIFAR-10")
        parts.append(torch.from_numpy(records[:, 1:].reshape(PER_FILE, 3, SIDE, SIDE).copy()))
    return torch.cat(parts)


def photograph(package: str, name: str) -> Tensor:
    """(3, height, width) uint8 of a picture that a package ships."""
    spec = find_spec(package)
    path = Path(spec.origin or "").parent / name if spec else Path(package) / name
    if not path.is_file():
        raise InputError(f"{path} is not there: `make install` installs the package {package}")
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("RGB"))  # (height, width, 3)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def crops(picture: Tensor, stride: int) -> Tensor:
    """(N, 3, 32, 32) crops of a picture (3, height, width), on a grid."""
    tiles = picture.unfold(1, SIDE, stride).unfold(2, SIDE, stride)  # (3, rows, columns, 32, 32)
    return tiles.permute(1, 2, 0, 3, 4).reshape(-1, 3, SIDE, SIDE).contiguous()
