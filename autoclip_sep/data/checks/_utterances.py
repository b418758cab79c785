"""The utterances that a mixture's name holds.

The names of WSJ0-mix and WHAM! are `<utterance>_<dB>_<utterance>_<dB>`, those of LibriMix
`<utterance>_<utterance>`. Names of utterances in WSJ0 (01to030v) and in LibriSpeech (19-198-0001)
are so peculiar that other names aren't taken for one.
"""

import re

WSJ0 = r"\d[0-9a-z]{2}[a-z][0-9a-z]{4}"  # speaker, kind of speech, sentence
DECIBELS = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
LIBRISPEECH = r"\d+-\d+-\d{4}"  # speaker, chapter, number
FORMS = (
    (re.compile(rf"{WSJ0}_{DECIBELS}(?:_{WSJ0}_{DECIBELS})+"), 2),
    (re.compile(rf"{LIBRISPEECH}(?:_{LIBRISPEECH})+"), 1),
)


def named_in(mixture: str) -> list[str]:
    """The utterances in the name of a mixture, in the order of its sources; none in other names."""
    for form, step in FORMS:
        if form.fullmatch(mixture):
            return mixture.split("_")[::step]
    return []
