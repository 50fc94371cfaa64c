"""Numbers and names as they are written into files."""

import re

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


def number(value: float) -> str:
    """At most three decimals, without trailing zeros."""
    return f"{round(float(value), 3) + 0.0:.3f}".rstrip("0").rstrip(".")


def xml_text(name: str) -> str:
    """A name without the characters that no XML may hold; escaping is left to the XML library."""
    return _NOT_XML.sub("\ufffd", name)
