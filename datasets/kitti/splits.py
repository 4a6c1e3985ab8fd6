"""KITTI's splits: object's training and testing, and the frames of training that are train and val; odometry's."""

from __future__ import annotations

import os
from base64 import b85decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from perceptum.inputs import BrokenRecord

from ..listing import Listing, Split
from ..reading.files import read_text

__all__ = ["OBJECT_FRAMES", "ODOMETRY", "frames_in", "image_sets", "listed_ids", "object_lists"]

ODOMETRY: Mapping[str, tuple[str, ...]] = {
    "train": tuple(f"{number:02}" for number in (*range(8), 9, 10)),
    "val": ("08",),
    "test": tuple(f"{number:02}" for number in range(11, 22)),
}
"""SemanticKITTI's: the sequences with poses are train and val."""

_LISTS = ("train", "val", "trainval", "test")

OBJECT_FRAMES = 7481
"""Of training/, 000000 to 007480."""
_IS_VAL = (
    b"c7eE?s)aS|25<sqL>+Kc(VB>pg6H7ey_z_M<-Ein(00QbE@HZko3pXby=OM>mj9mPSa>i={faRAWBQGCsgfn(mdw)|pzsJ2{2W)Dw1pmMq#RgX6>"
    b"z3YGu9R2drUw{{~n2iV4GLSApSC93aL3w9o#Wf+HR?rfW-Z54ya7*g#LI~!)u*hsrtQpPmD0%xX;L7XIH&``nvuP(%OL^WB`6kPn#&vbG>MQoGFR"
    b"vZVjZQV55U#m^SvIM=mL~V$1$DZKNxz4yi;{PY4}iYVYU9GH~WeG+FfwESF){lL%4y?Ko-kH5Ma)`FryQg~1Zur??k=YC3#;S4WWE=4$YmOPh^ff"
    b"WvDi${G^Kf*mu5Xw6mxvEBTfU5uetHy^U(7S)gAFv#39hegEp0QN|g+NY3XU%V7?JlC>E#9y!|)>?BYqa-e4^hxY1_lHtHYrC+3EH-oA6x@>YA*B"
    b"rXEB^74v@pd&o9bUkPm`|u3`pxw%=KlC7KKIWY*o<eV^@-<)cQ!JoJ?!ClZD(0CK(HnbywRw45rL$@TCX_zWyI-b`6LpA@4+=pTmWylaGi==L~7k"
    b"5dgDG_300&vTV5U93Q}%*+_v8+!`E;ZWu<jTTomqf>0S{$7@_}DjZo@hE`BEmU0DApAR7%S0{_86Q!=2HT&{+AJ=eyANc_K806;g6`@YgnZRf_@4"
    b"T+X+J@J11D$7rlXKp{{Acc&R8?XP?`~m`vcq3+xH80NWxCJ^pHyX6k)IYmgYEks_I`KN-WQWxC&SpG(d=X5iAW#(nGT}4#Vcgf+vGjgO+cx3-WKI"
    b"56?G%_$6N15<e+i`x1qf&dfwG}^W;KcZfrJJicy%Jl@brR+b-wlYJh2*F6IC*pup@Tx;H$Ix7NZ0!VD-`RfqXuJac^*4<wJm&J8wQF*B)xoINM7i"
    b"@A>^Edat#7V8*%EQAZt3n9|3a=7mI?x+koNiLRT7ql*Sf&JG0RrcI$=%Lq4eC{L(l@+QZLrz>2rARnK(FTNWU&R4(20a#d+_OGWA3ByE=#G;QzIS"
    b"*)b8lWLhaSB%{!*}7D@W&4I~;g~H+PDT9c}bv@TK67X?iA$-?u&Xrgho5O)xW>_SICEwu-)7CL{&NQ=Szmc4(z(-O2oCjI*h_)xV3BV5ud%4JTxN"
    b"Q`ZQ@x78|YOVzM-j_;XY*x|_R4$JF<5z6zUc&@(rMZTpc#eHf4"
)
"""A bit for each of them, the lowest of a byte first, base85: 1 for the 3769 of val, 0 for the 3712 of train."""


def frames_in(root: Path, is_split: Callable[[Path], bool]) -> Listing:
    """Returns training/ and testing/ of the object benchmark, each one log; or the folder itself, which is one of them.

    train and val are those of the field, unless the root has lists of its own, ImageSets/train.txt and so on.
    """
    folders = [name for name in ("training", "testing") if is_split(root / name)]
    alone = not folders
    names = [os.path.basename(os.path.abspath(root))] if alone else folders
    listing = Listing.of(names, [""] if alone else folders)
    lists = object_lists() | image_sets([root / "ImageSets", root.parent / "ImageSets"][: 1 + alone])
    kinds = ["testing" if name == "testing" else "training" for name in names]
    splits = {name: Split(np.array([number], dtype=np.intp)) for number, name in enumerate(names)}
    for name, ids in lists.items():
        of = "testing" if name == "test" else "training"
        if of in kinds:
            splits[name] = Split(np.array([kinds.index(of)], dtype=np.intp), len(ids), frozenset(ids))
    return replace(listing, splits=splits)


def object_lists() -> dict[str, list[str]]:
    """Returns the ids of train and val as the field divides training/, after Chen et al., 3D Object Proposals, 2015."""
    is_val = np.unpackbits(np.frombuffer(b85decode(_IS_VAL), dtype=np.uint8), bitorder="little")[:OBJECT_FRAMES]
    ids = np.array([f"{number:06}" for number in range(OBJECT_FRAMES)])
    return {"train": ids[is_val == 0].tolist(), "val": ids[is_val == 1].tolist()}


def image_sets(folders: Sequence[Path]) -> dict[str, list[str]]:
    """Returns split -> ids, of the lists train.txt, val.txt, ... in the first of the folders that has each."""
    found: dict[str, list[str]] = {}
    for name in _LISTS:
        path = next((folder / f"{name}.txt" for folder in folders if (folder / f"{name}.txt").is_file()), None)
        if path is not None:
            found[name] = listed_ids(path)
    return found


def listed_ids(path: Path) -> list[str]:
    """Returns the ids in a list, one a line; raises BrokenRecord where it is empty, or names one twice."""
    ids = read_text(path, "the split is not known").split()
    if not ids:
        raise BrokenRecord(f"{path}: is empty, wanted the id of a frame in each line")
    twice = [id for id in ids if ids.count(id) > 1] if len(set(ids)) < len(ids) else []
    if twice:
        raise BrokenRecord(f"{path}: '{twice[0][:40]}' is listed twice")
    return ids
