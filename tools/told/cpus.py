"""What makes of CPU say of themselves, by the instruction `cpuid`: their features and their caches.

Sources: Intel's Architectures Software Developer's Manual, volume 2, CPUID; AMD64 Architecture
Programmer's Manual, volume 3, appendix E. Sizes of caches are those of one model of each make.
"""

import dataclasses
import struct

KIB, MIB = 2**10, 2**20

# Features: the leaf and subleaf, the register, and the bit.
_BASE = {
    (1, 0, "d"): "0 4 5 6 8 11 15 19 23 24 25 26",  # FPU, CMOV, MMX, SSE, SSE2, …
    (1, 0, "c"): "0 1 9 12 13 19 20 22 23 25 26 27 28 29 30",  # SSE3 to AVX, FMA, OSXSAVE, F16C
    (7, 0, "b"): "3 5 8 9",  # BMI1, AVX2, BMI2
    (0x80000001, 0, "c"): "0 5 8",  # LAHF, LZCNT
    (0x80000001, 0, "d"): "11 20 27 29",  # 64 bits, …
}
_FEATURES = {
    "AVX512": {(7, 0, "b"): "16 17 28 30 31"},  # F, DQ, CD, BW, VL
    "AVX512_VNNI": {(7, 0, "c"): "1 6 11 12 14", (7, 0, "b"): "21"},  # with VBMI, BITALG, IFMA, …
    "AVX512_BF16": {(7, 1, "a"): "5"},
    "AVX512_FP16": {(7, 0, "d"): "23"},
    "AMX": {(7, 0, "d"): "22 24 25"},  # BF16, TILE, INT8
    "AVX_VNNI": {(7, 1, "a"): "4"},
    "AVX_NE_CONVERT": {(7, 1, "d"): "4 5", (7, 1, "a"): "23"},  # with VNNI_INT8, IFMA
}
_ZEN_4 = ("AVX512", "AVX512_VNNI", "AVX512_BF16")


@dataclasses.dataclass(frozen=True)
class Cpu:
    """A make of CPU.

    Attributes:
        vendor: twelve letters.
        signature: family, model and stepping, as leaf 1 has them.
        caches: size in bytes and ways of the data cache of level 1, and of levels 2 and 3; none
            where it says nothing of them.
        features: those beyond AVX2 and FMA.
    """

    vendor: str
    signature: int
    caches: tuple[tuple[int, int], ...]
    features: tuple[str, ...] = ()


def _intel(signature: int, *caches, features: tuple[str, ...] = ()) -> Cpu:
    return Cpu("GenuineIntel", signature, caches, features)


def _amd(signature: int, *caches, features: tuple[str, ...] = ()) -> Cpu:
    return Cpu("AuthenticAMD", signature, caches, features)


_SKYLAKE_SP = ("AVX512",)
_ICE_LAKE = (*_SKYLAKE_SP, "AVX512_VNNI")
CPUS = {
    "Haswell": _intel(0x306C3, (32 * KIB, 8), (256 * KIB, 8), (8 * MIB, 16)),
    "Skylake-SP": _intel(
        0x50654, (32 * KIB, 8), (1 * MIB, 16), (22 * MIB, 11), features=_SKYLAKE_SP
    ),
    "Ice-Lake-SP": _intel(
        0x606A6, (48 * KIB, 12), (1280 * KIB, 20), (48 * MIB, 12), features=_ICE_LAKE
    ),
    "Sapphire-Rapids": _intel(
        0x806F8,
        (48 * KIB, 12),
        (2 * MIB, 16),
        (60 * MIB, 15),
        features=(*_ICE_LAKE, "AVX512_BF16", "AVX512_FP16", "AMX", "AVX_VNNI"),
    ),
    "Alder-Lake": _intel(
        0x90672, (48 * KIB, 12), (1280 * KIB, 10), (30 * MIB, 12), features=("AVX_VNNI",)
    ),
    "Sierra-Forest": _intel(
        0xA06F3,
        (32 * KIB, 8),
        (4 * MIB, 16),
        (96 * MIB, 12),
        features=("AVX_VNNI", "AVX_NE_CONVERT"),
    ),
    "Zen": _amd(0x800F12, (32 * KIB, 8), (512 * KIB, 8), (8 * MIB, 16)),
    "Zen-2": _amd(0x830F10, (32 * KIB, 8), (512 * KIB, 8), (16 * MIB, 16)),
    "Zen-3": _amd(0xA00F11, (32 * KIB, 8), (512 * KIB, 8), (32 * MIB, 16)),
    "Zen-4": _amd(0xA10F11, (32 * KIB, 8), (1 * MIB, 8), (32 * MIB, 16), features=_ZEN_4),
    "Zen-5": _amd(0xB00F21, (48 * KIB, 12), (1 * MIB, 16), (32 * MIB, 16), features=_ZEN_4),
    "without-caches": _intel(0x306C3),  # a virtual machine that tells of none
}

_LINE = 64
_CORES = 16


def answers(cpu: Cpu) -> dict[tuple[int, int], tuple[int, int, int, int]]:
    """What `cpuid` answers, by leaf and subleaf: eax, ebx, ecx and edx. Of all else, zeros."""
    found = {}
    letters = struct.unpack("<3I", cpu.vendor.encode())
    is_amd = cpu.vendor == "AuthenticAMD"
    found[0, 0] = (0x10 if is_amd else 0x20, letters[0], letters[2], letters[1])
    found[0x80000000, 0] = (
        0x80000021 if is_amd else 0x80000008,
        letters[0],
        letters[2],
        letters[1],
    )
    for given in (_BASE, *(_FEATURES[name] for name in cpu.features)):
        for (leaf, sub, register), bits in given.items():
            values = list(found.get((leaf, sub), (0, 0, 0, 0)))
            values["abcd".index(register)] |= sum(1 << int(bit) for bit in bits.split())
            found[leaf, sub] = tuple(values)
    for leaf in (1, 0x80000001) if is_amd else (1,):
        found[leaf, 0] = (cpu.signature, *found[leaf, 0][1:])
    found[1, 0] = (cpu.signature, 8 << 8 | _CORES << 16, *found[1, 0][2:])
    found[7, 0] = (1, *found[7, 0][1:])  # one more subleaf
    found[0xB, 0] = (0, 1, 0x100, 0)
    found[0xB, 1] = (4, _CORES, 0x201, 0)
    name = f"told CPU of {cpu.vendor}".ljust(48, "\0").encode()
    for number in range(3):
        found[0x80000002 + number, 0] = struct.unpack_from("<4I", name, 16 * number)
    if cpu.caches:
        found |= _caches(cpu.caches, 0x8000001D if is_amd else 4)
        found |= _caches_in_short(cpu.caches)
        if not is_amd:
            found[2, 0] = (0x00FEFF01, 0, 0, 0)  # "ask leaf 4"
    return found


def _caches(caches, leaf: int):
    """By leaf 4 of Intel, or AMD's that is like it; an instruction cache comes second."""
    kinds = [(1, 1, 1), (2, 1, 1), (3, 2, 1), (3, 3, _CORES)]  # kind, level, cores that share it
    given = [caches[0], caches[0], *caches[1:]]
    found = {}
    for number, ((kind, level, cores), (size, ways)) in enumerate(zip(kinds, given, strict=True)):
        a = kind | level << 5 | 1 << 8 | (cores - 1) << 14
        if leaf == 4:
            a |= (_CORES - 1) << 26
        found[leaf, number] = (a, _LINE - 1 | (ways - 1) << 22, size // ways // _LINE - 1, 0)
    return found


def _caches_in_short(caches):
    """By AMD's older leaves."""
    ways = {8: 6, 10: 7, 11: 7, 12: 7, 15: 8, 16: 8, 20: 8}  # as they are coded
    (first, first_ways), (second, second_ways), (third, third_ways) = caches
    first = first // KIB << 24 | first_ways << 16 | 1 << 8 | _LINE
    second = second // KIB << 16 | ways[second_ways] << 12 | 1 << 8 | _LINE
    third = third // (512 * KIB) << 18 | ways[third_ways] << 12 | 1 << 8 | _LINE
    return {(0x80000005, 0): (0, 0, first, first), (0x80000006, 0): (0, 0, second, third)}


def xcr0(cpu: Cpu) -> int:
    """What `xgetbv` answers: which registers the operating system keeps."""
    return 0x7 | 0xE0 * ("AVX512" in cpu.features) | 0x60000 * ("AMX" in cpu.features)
