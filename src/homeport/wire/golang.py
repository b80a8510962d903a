"""JSON byte for byte as Go's ``encoding/json`` writes it, so that a client cannot tell the difference.

Source: https://pkg.go.dev/encoding/json#Marshal. Three things differ from plain JSON encoders: ``<``, ``>``, ``&`` and
the two Unicode line separators are escaped, the keys of maps are sorted, and bytes are base64.
"""

from typing import Any

import msgspec

# "deterministic" sorts the keys of dicts and leaves the fields of structs in their order, as Go does.
_encoder = msgspec.json.Encoder(order="deterministic")

# These can stand only inside strings, so replacing them in the finished text is safe.
_ASCII_ESCAPES = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"))
_SEPARATOR_ESCAPES = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def encode(value: Any) -> bytes:
    """Compact JSON of a struct, dict, list or scalar as Go's ``json.Marshal`` writes it; no trailing newline.

    Structs keep the order of their fields, dicts are sorted by key, ``bytes`` become base64, ``None`` becomes null.
    A whole ``float`` keeps its ``.0``, which Go would drop. Raises TypeError for a value that has no JSON form.
    """
    text = _encoder.encode(value)
    for plain, escaped in _ASCII_ESCAPES:
        if plain in text:
            text = text.replace(plain, escaped)
    # Searching for three bytes costs as much as the encoding itself; most answers are plain ASCII.
    if not text.isascii():
        for plain, escaped in _SEPARATOR_ESCAPES:
            text = text.replace(plain, escaped)
    return text


def pretty(text: bytes) -> bytes:
    """The same JSON indented by four spaces and ended by a newline, as Consul answers ``?pretty``."""
    return msgspec.json.format(text, indent=4) + b"\n"


def quote(text: str) -> str:
    r"""A text in double quotes as Go's ``%q`` prints it.

    What cannot be printed appears as ``\n``, ``\x01``, ``\u0085`` or ``\U000e0001``; letters of any script stay.
    """
    return f'"{"".join(_quoted(character, delimiter=chr(34)) for character in text)}"'


def quote_character(character: str) -> str:
    """One character in single quotes as Go's JSON errors show it."""
    return f"'{_quoted(character, delimiter=chr(39))}'"


_SHORT_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}


def _quoted(character: str, *, delimiter: str) -> str:
    if character == delimiter:
        return "\\" + character
    if short := _SHORT_ESCAPES.get(character):
        return short
    code = ord(character)
    if character.isprintable():
        return character
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
