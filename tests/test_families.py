"""Eight families of models, end to end: equal to the bit in memory, histories and files."""

import pytest
from fresh import run_together

pytestmark = pytest.mark.slow


def test_the_same_bits_and_bytes_in_any_process(tmp_path):
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    one, two, three = run_together(
        (("families.py", "repro_keras", 1, folders[0]), {"hash_seed": 1, "cores": "0"}),
        (("families.py", "repro_keras", 4, folders[1]), {"hash_seed": 2}),
        (("families.py", "repro_keras", 0, folders[2]), {"hash_seed": 3, "cwd": folders[2]}),
    )
    assert len(one) == 8
    for family in one:
        assert one[family] == two[family] == three[family], family
        assert one[family]["loaded"], family


def test_plain_keras_differs_in_all_of_them(tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = run_together(
        *(
            (("families.py", "keras", 1, folder), {"env": {"REPRO_KERAS_OFF": "1"}})
            for folder in folders
        )
    )
    for family in one:
        for what in ("weights", "optimizer", "histories"):
            assert one[family][what] != two[family][what], (family, what)
        for kind in one[family]["files"]:
            assert one[family]["files"][kind] != two[family]["files"][kind], (family, kind)
