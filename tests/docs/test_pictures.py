"""The picture of a run: a terminal as SVG, whose frames follow each other."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from tools import pictures

SVG = "{http://www.w3.org/2000/svg}"


def test_frames_follow_each_other_and_the_end_stays() -> None:
    drawn = pictures.animation(["one | <1>", "two & three"], ["stream  read", "", "all     2"])
    root = ET.fromstring(drawn)  # noqa: S314 - our own
    frames = [each for each in root.iter(f"{SVG}g") if each.get("class") == "frame"]
    assert ["".join(each.itertext()) for each in frames] == ["one | <1>", "two & three"]
    delays = [float(str(each.get("style")).partition(": ")[2].rstrip("s")) for each in frames]
    assert delays == [0, pictures.FRAME_SECONDS]
    [final] = [each for each in root.iter(f"{SVG}g") if each.get("class") == "final"]
    down = {text.text: int(str(text.get("y"))) for text in final}
    assert down["all     2"] - down["stream  read"] == 2 * (
        down["stream  read"] - int(str(next(root.iter(f"{SVG}text")).get("y")))
    )


def test_the_picture_in_the_repository_shows_an_outage_and_the_next_command() -> None:
    text = (pictures.IMAGES / "run.svg").read_text()
    ET.fromstring(text)  # noqa: S314 - our own
    assert "service answers 503, next try in " in text
    assert "stitch-import replay --config config.json dead-letters.jsonl" in text
    assert not re.findall(r"(?:href|src)=", text)
