"""Where a key lies, alike in every process: Python's own ``hash`` of a text differs from one process to the next."""

from __future__ import annotations

from zlib import crc32

_MASK = (1 << 64) - 1


def key_hash(key: str, salt: int) -> int:
    """32 evenly spread bits for a key; other bits for another ``salt`` (64 bits), so that nested policies differ.

    A CRC alone would do neither: keys that differ little lie close together, and a salt only shifts them alike. The
    multiplications mix it (MurmurHash3's finalizer).
    """
    mixed = (crc32(key.encode("utf-8", "surrogatepass")) ^ salt) * 0xFF51AFD7ED558CCD & _MASK
    mixed = (mixed ^ mixed >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return mixed >> 32
