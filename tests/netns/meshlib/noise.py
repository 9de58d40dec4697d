# SPDX-License-Identifier: Apache-2.0
"""A WireGuard handshake initiation by hand, with any time in it (whitepaper section 5.4.2)."""

import hashlib
import hmac
import os
import struct

_P = 2**255 - 19
_BASE = (9).to_bytes(32, "little")


def x25519(scalar: bytes, point: bytes) -> bytes:
    """RFC 7748 section 5."""
    k = int.from_bytes(scalar, "little") & ~7 & ~(128 << 248) | (64 << 248)
    x1 = int.from_bytes(point, "little") & (2**255 - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for bit in reversed(range(255)):
        now = k >> bit & 1
        if swap ^ now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % _P, b * b % _P, d * a % _P, c * b % _P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % _P, x1 * (da - cb) ** 2 % _P
        x2, z2 = aa * bb % _P, e * (aa + 121665 * e) % _P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, _P - 2, _P) % _P).to_bytes(32, "little")


def _rotate(value: int, count: int) -> int:
    return (value << count | value >> 32 - count) & 0xFFFFFFFF


def _chacha20(key: bytes, counter: int, nonce: bytes) -> bytes:
    """One block, RFC 8439 section 2.3."""
    state = [
        0x61707865,
        0x3320646E,
        0x79622D32,
        0x6B206574,
        *struct.unpack("<8I", key),
        counter,
        *struct.unpack("<3I", nonce),
    ]
    work = list(state)

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for x, y, z, count in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            work[x] = (work[x] + work[y]) & 0xFFFFFFFF
            work[z] = _rotate(work[z] ^ work[x], count)

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for column in range(4):
            quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, work, strict=True)))


def _seal(key: bytes, plain: bytes, associated: bytes) -> bytes:
    """ChaCha20-Poly1305 with nonce 0, RFC 8439 section 2.8; at most one block of text."""
    nonce = bytes(12)
    text = bytes(a ^ b for a, b in zip(plain, _chacha20(key, 1, nonce), strict=False))
    one_time = _chacha20(key, 0, nonce)
    r = int.from_bytes(one_time[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    pad = lambda data: data + bytes(-len(data) % 16)  # noqa: E731
    message = pad(associated) + pad(text) + struct.pack("<QQ", len(associated), len(text))
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at : at + 16] + b"\1", "little")) * r % (2**130 - 5)
    tag = (total + int.from_bytes(one_time[16:32], "little")) & (2**128 - 1)
    return text + tag.to_bytes(16, "little")


def _hash(*parts: bytes) -> bytes:
    return hashlib.blake2s(b"".join(parts)).digest()


def _derive(chain: bytes, secret: bytes) -> tuple[bytes, bytes]:
    first = hmac.new(chain, secret, hashlib.blake2s).digest()
    one = hmac.new(first, b"\1", hashlib.blake2s).digest()
    return one, hmac.new(first, one + b"\2", hashlib.blake2s).digest()


def initiation(private: bytes, peer: bytes, unix_time: float) -> bytes:
    """From the holder of the private key to the peer of that public key."""
    ephemeral = os.urandom(32)
    shown = x25519(ephemeral, _BASE)
    chain = _hash(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    seen = _hash(_hash(chain, b"WireGuard v1 zx2c4 Jason@zx2c4.com"), peer)
    chain, _ = _derive(chain, shown)
    seen = _hash(seen, shown)
    chain, key = _derive(chain, x25519(ephemeral, peer))
    static = _seal(key, x25519(private, _BASE), seen)
    seen = _hash(seen, static)
    _, key = _derive(chain, x25519(private, peer))
    stamp = struct.pack(">QI", 0x400000000000000A + int(unix_time), int(unix_time % 1 * 1e9))
    message = struct.pack("<II", 1, 0x77676C6E) + shown + static + _seal(key, stamp, seen)
    mac = hashlib.blake2s(message, digest_size=16, key=_hash(b"mac1----", peer)).digest()
    return message + mac + bytes(16)
