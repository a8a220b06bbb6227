"""A fingerprint as words to read aloud over a telephone: one easy word for each byte."""

from __future__ import annotations

# The place of a word is its byte: never sort anew, never replace one, or two versions would spell one key differently.
_TEXT = (
    "acorn actor adult album alley amber angel ankle apple april arena arrow atlas attic autumn bacon badge bagel "
    "baker balloon bamboo banana banjo barrel basket beacon beaver berry bicycle bishop blanket bottle bracket "
    "branch bridge broccoli bronze bucket buffalo bullet butter button cabbage cactus camel camera canal candle "
    "canyon captain carbon carpet carrot castle cedar cello chapel cherry chimney circus clover cobra coconut "
    "coffee comet compass copper coral cotton cousin cradle crater cricket crystal cupboard curtain dagger daisy "
    "dancer december desert diamond dinner doctor dolphin donkey dragon drawer eagle easel echo elbow elephant "
    "emerald engine envelope fabric falcon farmer feather ferry fiddle finger flamingo flower forest fossil "
    "fountain friday galaxy garage garden garlic gazelle ginger giraffe glacier goblin gorilla granite guitar "
    "hammer harbor harvest hazel helmet honey horizon hotel hunter igloo insect island ivory jacket jaguar jasmine "
    "jelly jewel jigsaw jungle kangaroo kernel kettle kitchen kitten koala ladder lagoon lantern lemon leopard "
    "letter lily lizard lobster locket lotus lunar magnet mango maple marble market meadow melon mirror monday "
    "monkey mosaic mountain muffin museum mustard napkin needle nickel novel nutmeg oasis ocean october olive onion "
    "orange orbit orchid otter oven oyster paddle palace panda paper parrot peanut pebble pelican pencil penguin "
    "pepper piano pigeon pilot pirate planet plaza pocket poet polar pony potato pumpkin puppet puzzle pyramid "
    "quartz queen rabbit radio rainbow raven ribbon river robin rocket saddle sailor salmon sandal saturn school "
    "scooter shadow shovel silver singer skeleton soldier spider squirrel stable statue sugar summer sunset table "
    "tailor teapot temple thunder tiger tomato trumpet tunnel turtle "
)
_WORDS = tuple(_TEXT.split())

LENGTH = 16


def spell(digest: bytes) -> tuple[str, ...]:
    """The first 16 bytes of a SHA-256 as 16 words.

    Somebody who wants another key with the same words must search 2**128 keys (a second preimage, not a collision: he
    does not choose the vendor's key), as hard as breaking P-256 itself. 32 words would double the reading for nothing.
    """
    return tuple(_WORDS[byte] for byte in digest[:LENGTH])
