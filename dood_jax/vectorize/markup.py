"""What the XML formats share: numbers, colours, names and the text of a file."""

import re
from xml.etree import ElementTree

from dood_jax.vectorize.curves import Place

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
XML_ID = "{http://www.w3.org/XML/1998/namespace}id"


def number(value: float, decimals: int = 2) -> str:
    """A number with at most so many decimals and without trailing zeros."""
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}".rstrip("0").rstrip(".")


def hex_colour(colour: tuple[int, int, int] | None) -> str:
    """`#rrggbb`; black if there is no colour."""
    return "#{:02x}{:02x}{:02x}".format(*(colour or (0, 0, 0)))


def xml_text(name: str) -> str:
    """A name without the characters that no XML may hold. The XML library escapes the rest."""
    return _NOT_XML.sub("\ufffd", name)


def add_element(parent: ElementTree.Element, name: str, **attributes: str) -> ElementTree.Element:
    """Adds an element; an underscore in an attribute's name stands for a hyphen."""
    given = {key.replace("_", "-"): value for key, value in attributes.items()}
    return ElementTree.SubElement(parent, name, given)


def group_of(
    parent: ElementTree.Element, tag: str, place: Place | None, identity: str
) -> ElementTree.Element:
    """The element of a character within those of its word and line; the parent if the place is unknown.

    Elements that are not there are made. `identity` is the attribute that holds their names.
    """
    for kind, index in (place._asdict() if place else {}).items():
        name = f"{kind}-{index}"
        found = next((child for child in parent if child.get(identity) == name), None)
        parent = ElementTree.SubElement(parent, tag, {identity: name}) if found is None else found
    return parent


def xml_file(root: ElementTree.Element) -> str:
    """The text of an indented XML file."""
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"
