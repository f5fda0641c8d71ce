"""Sizes of values that lie in files of their own: usage and largest tell those of the values."""


def test_a_value_in_a_file_counts_with_its_own_size_and_type(make_store, path):
    store = make_store(path, files_above="64 KiB")
    large = store.ns("large")
    large.update(file=b"x" * 100_000, row=b"y" * 1000)
    usage = store.usage()
    assert (usage.entries, usage.bytes, usage.files, usage.file_bytes) == (2, 101_000, 1, 100_000)
    assert dict(usage.by_content_type) == {"application/octet-stream": (2, 101_000)}
    (largest,) = large.largest(1)
    assert (largest.key, largest.size, largest.content_type) == ("file", 100_000, "application/octet-stream")
