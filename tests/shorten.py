"""Writes SPHERE files, plain or compressed by Shorten, as the LDC's discs hold them.

Source: T. Robinson, "SHORTEN: Simple lossless and near-lossless waveform compression",
CUED/F-INFENG/TR.156 (1994). Fixed predictors of order 0 to 3, no running mean, no LPC.
"""

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

BLOCK = 256
QUIT, BLOCKSIZE, ZERO = 4, 5, 8  # commands; 0 to 3 are the predictors' orders


def uvar(value: int, bits: int) -> str:
    """The high part in unary, then the low `bits` bits."""
    low = f"{value & (1 << bits) - 1:0{bits}b}" if bits else ""
    return "0" * (value >> bits) + "1" + low


def ulong(value: int) -> str:
    return uvar(value.bit_length(), 2) + uvar(value, value.bit_length())


def residuals(block: np.ndarray, before: np.ndarray, bits: int) -> str:
    """A block coded by its best predictor; before: the three samples that precede it."""
    signal = np.concatenate([before, block])
    errors = [np.diff(signal, order)[3 - order :] for order in range(4)]
    order = int(np.argmin([np.abs(error).sum() for error in errors]))
    energy = int(np.abs(errors[order]).mean()).bit_length()
    folded = np.where(errors[order] >= 0, 2 * errors[order], -2 * errors[order] - 1)
    code = "".join(uvar(int(value), energy + 1) for value in folded)
    return uvar(order, bits) + uvar(energy, 3) + code


def shorten(samples: ArrayLike, version: int = 2, maxnlpc: int = 0, nmean: int = 0) -> bytes:
    """int16 samples (C, T) as a Shorten stream. maxnlpc, nmean: for its header, unused."""
    channels = np.atleast_2d(samples).astype(int)
    stream = [ulong(value) for value in (5, len(channels), BLOCK, maxnlpc, nmean, 0)]
    padded = np.pad(channels, ((0, 0), (3, 0)))
    for start in range(0, channels.shape[1], BLOCK):
        stop = min(start + BLOCK, channels.shape[1])
        if stop - start < BLOCK:
            stream.append(uvar(BLOCKSIZE, 2) + ulong(stop - start))
        for channel in padded:
            block = channel[start + 3 : stop + 3]
            coded = residuals(block, channel[start : start + 3], 2)
            stream.append(coded if block.any() else uvar(ZERO, 2))
    bits = "".join(itertools.chain(stream, [uvar(QUIT, 2)]))
    bits += "0" * (-len(bits) % 32)
    return b"ajkg" + bytes([version]) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def header(coding: str = "pcm", size: int = 1024, **fields: int | str | None) -> bytes:
    """A SPHERE header of 16-bit samples; None leaves a field out."""
    known: dict[str, int | str | None] = {
        "database_id": "CSR wsj0",
        "channel_count": 1,
        "sample_rate": 16000,
        "sample_n_bytes": 2,
        "sample_byte_format": "01",
        "sample_sig_bits": 16,
        "sample_coding": coding,
    }
    lines = ["NIST_1A", f"{size:7d}"]
    for name, value in (known | fields).items():
        kind = "i" if isinstance(value, int) else f"s{len(str(value))}"
        if value is not None:
            lines.append(f"{name} -{kind} {value}")
    return "\n".join([*lines, "end_head", ""]).encode().ljust(size)


def write_sphere(
    path: Path,
    samples: ArrayLike,
    rate: int = 16000,
    *,
    version: int | None = 1,
    **fields: int | str | None,
) -> Path:
    """int16 samples (C, T) in a SPHERE file. version: of Shorten; None writes plain samples."""
    values = np.atleast_2d(np.asarray(samples, dtype=np.int16))
    codings = {None: "pcm", 1: "pcm,embedded-shorten-v1.09", 2: "pcm,embedded-shorten-v2.00"}
    described: dict[str, int | str | None] = {
        "coding": codings[version],
        "channel_count": len(values),
        "sample_count": values.shape[1],
        "sample_rate": rate,
        "sample_checksum": int(values.sum(dtype=np.int64)) & 0xFFFF,
    }
    body = values.T.astype("<i2").tobytes() if version is None else shorten(values, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header(**(described | fields)) + body)  # type: ignore[arg-type]
    return path
