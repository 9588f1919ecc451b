import contextlib
import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from anynet.datasets.idx import gunzip, parse_idx, read_idx

ARRAYS = hnp.arrays(
    dtype=st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


def header(code, *shape):
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


@given(array=ARRAYS)
def test_round_trip(idx_bytes, array):
    result = parse_idx(idx_bytes(array), where="a")
    assert result.dtype == array.dtype and result.dtype.isnative
    assert result.flags.writeable and result.flags.owndata
    np.testing.assert_array_equal(result, array, strict=True)


@given(array=ARRAYS, data=st.data())
def test_every_shorter_or_longer_file_is_refused(idx_bytes, array, data):
    contents = idx_bytes(array)
    cut = data.draw(st.integers(0, len(contents) - 1))
    with pytest.raises(ValueError, match=r"^a: expected "):
        parse_idx(contents[:cut], where="a")
    with pytest.raises(ValueError, match=r"^a: expected .* bytes of values"):
        parse_idx(contents + b"\0", where="a")


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\0\0\x08" + tail))
def test_arbitrary_bytes_parse_or_raise_value_error(contents):
    with contextlib.suppress(ValueError):
        parse_idx(contents, where="a")


@pytest.mark.parametrize(
    "contents", [b"", b"\0", b"\0\0\x08", b"\0\x01\x08\x01", b"\0\0\x07\x01", b"PK\x03\x04", b"<htm"]
)
def test_a_file_that_is_not_idx_is_named(contents):
    with pytest.raises(ValueError, match=r"^some/file: expected an IDX file.*, got .* as its first bytes; check"):
        parse_idx(contents, where="some/file")


def test_header_shorter_than_its_axes():
    with pytest.raises(ValueError, match=r"expected a header of 16 bytes for 3 axes, got 11 bytes"):
        parse_idx(header(8, 2, 3, 4)[:11], where="a")


def test_absurd_sizes_are_refused_without_allocating():
    huge = 2**32 - 1
    tracemalloc.start()
    try:
        for shape in [(huge,), (huge, huge), (huge,) * 8, (2**31, 2**31, 4)]:  # the last is 2**64: zero if it wrapped
            with pytest.raises(ValueError, match=r"expected \d+ bytes of values .*, got 0; "):
                parse_idx(header(0x0E, *shape), where="a")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_read_idx_detects_gzip_by_the_contents(idx_bytes, tmp_path):
    array = np.arange(6, dtype="u1").reshape(2, 3)
    for name, contents in [("a.gz", idx_bytes(array)), ("b", gzip.compress(idx_bytes(array)))]:
        (tmp_path / name).write_bytes(contents)
        np.testing.assert_array_equal(read_idx(tmp_path / name), array, strict=True)
        np.testing.assert_array_equal(read_idx(str(tmp_path / name)), array, strict=True)


def test_read_idx_names_the_file(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(b"oops")
    with pytest.raises(ValueError, match=r"labels: expected an IDX file"):
        read_idx(path)
    with pytest.raises(FileNotFoundError, match=r"nothing-here"):
        read_idx(tmp_path / "nothing-here")


@pytest.mark.parametrize(
    "damage",
    [
        lambda z: z[:-1],
        lambda z: z[:12],
        lambda z: z[:2],
        lambda z: z[:-8] + bytes(8),
        lambda z: z[:10] + b"\xff" * 10 + z[20:],
        lambda z: z + b"trailing",
    ],
)
def test_damaged_gzip_is_a_value_error(damage):
    with pytest.raises(ValueError, match=r"^a: expected a complete gzip file, got .*; download it again"):
        gunzip(damage(gzip.compress(bytes(range(100)))), where="a")
