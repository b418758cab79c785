"""Sentences for the built-in corpus: a small grammar over our own word lists.

They need not mean much. The lists were chosen for varied sounds: all English vowels and
consonants, clusters, and words of one to five syllables.
"""

import numpy as np

PEOPLE = (
    "the teacher|my brother|a young judge|the tall baker|our neighbour|the ship's doctor|a quiet"
    " child|the new mayor|her cousin George|an old fisherman|the chief engineer|every visitor|the"
    " woman from Oslo|his three daughters|the village choir|a patient nurse|the night watchman|"
    "their youngest player|an honest dealer|the voice on the radio|a group of painters|the shy"
    " gardener|both drivers|the queen's lawyer|a clever thief|the weather man|most of the farmers|"
    "the girl with the violin|a retired sergeant|the museum guide"
).split("|")
ACTIONS = (
    "carried|found|painted|forgot|measured|opened|sold|described|borrowed|followed|watched|mended|"
    "hid|photographed|washed|chose|recognised|threw away|brought back|asked about|laughed at|"
    "paid for|pointed to|listened to|searched for|gathered|judged|weighed|examined|shared"
).split("|")
THINGS = (
    "seven oranges|the yellow boat|a box of old letters|the broken bridge|two pairs of gloves|the"
    " church clock|a very small engine|the third chapter|half of the bread|an unusual machine|the"
    " garden gate|a bunch of fresh thyme|the green jacket|some thick rope|the question of money|"
    "a hundred paper birds|the usual excuse|a jar of honey|the wrong key|eleven wooden chairs|the"
    " leather suitcase|a shelf full of dictionaries|the loud parrot|a pinch of ginger|the long"
    " report|their father's watch|the empty theatre|a cup of strong coffee|the frozen lake|those"
    " heavy stones|a sheet of glass|the northern railway|the smooth blue vase|an enormous pie"
).split("|")
PLACES = (
    "in the harbour|behind the station|on the other side of the valley|near the chocolate factory|"
    "under the stairs|at the edge of the forest|in a cold kitchen|beyond the river|outside the"
    " courthouse|on the roof|between the two churches|at the university|in the middle of the"
    " square|along the coast|inside the tower|by the southern gate|across the street|in the back"
    " of a van|at the foot of the hill|above the bookshop"
).split("|")
TIMES = (
    "yesterday morning|just before midnight|after the long meeting|on Thursday|during the summer|"
    "as usual|for the second time this year|while it rained|at about half past five|in early June|"
    "without a word|much too late|for several weeks|once again|with great pleasure|in the end|"
    "after the music stopped|when nobody was looking|at the age of eighty|every other Sunday"
).split("|")
THOUGHTS = (
    "nobody knew why|which surprised the whole town|and that was enough|although the road was"
    " closed|because the price was fair|so we stayed at home|but the judges were not amused|if you"
    " believe the papers|and then it began to snow|which is hardly new|though few people noticed|"
    "and everyone cheered|because the fire had gone out|but it changed nothing|so they shook hands"
).split("|")
SHAPES = (
    "{time}, {person} {action} {thing} {place}.",
    "{person} {action} {thing} {place}, {thought}.",
    "{place}, {person} {action} {thing}, and {person2} {action2} {thing2}.",
    "{person} {action} {thing} and {thing2} {place} {time}.",
    "{time}, {person} and {person2} {action} {thing}, {thought}.",
    "did {person} say that {person2} {action} {thing} {place}?",
)
LISTS = {
    "person": PEOPLE,
    "person2": PEOPLE,
    "action": ACTIONS,
    "action2": ACTIONS,
    "thing": THINGS,
    "thing2": THINGS,
    "place": PLACES,
    "time": TIMES,
    "thought": THOUGHTS,
}


def sentence(rng: np.random.Generator) -> str:
    """One sentence of about 10 to 20 words, drawn from rng."""
    words = {name: choices[rng.integers(len(choices))] for name, choices in LISTS.items()}
    text = SHAPES[rng.integers(len(SHAPES))].format(**words)
    return text[0].upper() + text[1:]
