"""Which utterances are in a mixture, where its name says so.

The names of WSJ0-mix and WHAM! are `<utterance>_<dB>_<utterance>_<dB>`, those of LibriMix
`<utterance>_<utterance>`. What an utterance is called in WSJ0 (01to030v) and in LibriSpeech
(19-198-0001) is so peculiar that other names aren't taken for one.
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
    """The utterances that a mixture's name tells, in the order of its sources; else none."""
    for form, step in FORMS:
        if form.fullmatch(mixture):
            return mixture.split("_")[::step]
    return []
