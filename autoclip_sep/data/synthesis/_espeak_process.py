"""One speaker's utterances from espeak-ng: a program of its own, not imported by the rest.

espeak-ng keeps state from one utterance to the next and can't be re-entered, so every speaker gets
a fresh process: the samples depend on nothing but the job. Standard library only, so that it
starts in milliseconds. The library is GPL and is loaded here, at run time, and nowhere else.

Reads a job as JSON from standard input: library and data (paths), voice (text of a voice file),
language, seed, utterances (a list of text, rate, pitch, range). Writes to standard output the
sample rate, then for each utterance its number of samples and the samples: int32 and int16.
"""

import array
import ctypes
import json
import os
import struct
import sys
import tempfile

SYNCHRONOUS = 2  # espeak_Initialize: samples go to the callback, and espeak_Synth waits for them
NO_EXIT = 0x8000  # espeak_Initialize: return an error rather than end the process
RATE, PITCH, RANGE = 1, 3, 4  # espeak_SetParameter
UTF8 = 1  # espeak_Synth
VARIANT = "speaker"

Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def data_folder(folder: str, source: str, voice: str) -> None:
    """espeak-ng's data by links, with one voice variant: the only place it looks for variants."""
    for name in os.listdir(source):
        if name != "voices":
            os.symlink(os.path.join(source, name), os.path.join(folder, name))
    variants = os.path.join(folder, "voices", "!v")
    os.makedirs(variants)
    with open(os.path.join(variants, VARIANT), "w", encoding="ascii") as file:
        file.write(voice)


def load(job: dict, folder: str) -> tuple[ctypes.CDLL, int]:
    """The library with the job's voice chosen, and its sample rate in Hz."""
    library = ctypes.CDLL(job["library"])
    library.espeak_Synth.argtypes = (
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    )
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    sample_rate = library.espeak_Initialize(SYNCHRONOUS, 0, os.fsencode(folder), NO_EXIT)
    if sample_rate <= 0:
        sys.exit(f"it can't read its data below {folder} (a shorter TMPDIR may help)")
    library.espeak_ng_SetRandSeed(job["seed"])
    if library.espeak_SetVoiceByName(f"{job['language']}+{VARIANT}".encode()) != 0:
        sys.exit(f"it has no voice for the language {job['language']}")
    return library, sample_rate


def main() -> None:
    job = json.load(sys.stdin)
    chunks: list[bytes] = []

    @Callback
    def collect(samples, number, events):  # type: ignore[no-untyped-def]
        if samples and number > 0:
            chunks.append(ctypes.string_at(samples, 2 * number))
        return 0

    with tempfile.TemporaryDirectory(prefix="espeak-") as folder:
        data_folder(folder, job["data"], job["voice"])
        library, sample_rate = load(job, folder)
        library.espeak_SetSynthCallback(collect)
        output = sys.stdout.buffer
        output.write(struct.pack("<i", sample_rate))
        for utterance in job["utterances"]:
            chunks.clear()
            for parameter, key in ((RATE, "rate"), (PITCH, "pitch"), (RANGE, "range")):
                library.espeak_SetParameter(parameter, utterance[key], 0)
            text = utterance["text"].encode()
            library.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None)
            samples = array.array("h", b"".join(chunks))
            if sys.byteorder == "big":
                samples.byteswap()
            output.write(struct.pack("<i", len(samples)) + samples.tobytes())


if __name__ == "__main__":
    main()
