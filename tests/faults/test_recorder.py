"""The recorder of system calls and the disk that forgets, with programs whose calls are known."""

from __future__ import annotations

from random import Random

import pytest

from tests.faults.campaign import UnavailableError
from tests.faults.disk import Disk, lay_out
from tests.faults.syscalls import lines_of, read_trace, watched

pytestmark = pytest.mark.slow

STATES = 400  # in which each thing that may happen does happen


@pytest.fixture
def record(tmp_path):
    """Run a program in a directory, as `root` and as the descriptor `folder`; return what was recorded."""

    def run(program):
        directory, trace = tmp_path / "disk", tmp_path / "trace"
        directory.mkdir()
        code = f"""
import os
from tests.faults.syscalls import arm, note
root = sys.argv[1]
folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
{program}
say("end")
"""
        try:
            with watched(code, directory, directory=directory, trace=trace) as worker:
                lines = lines_of(worker)
        except UnavailableError as reason:
            pytest.skip(str(reason))
        return list(read_trace(trace)), directory, lines

    return run


def content_of(directory):
    return {
        str(path.relative_to(directory)): None if path.is_dir() else path.read_bytes()
        for path in directory.rglob("*")
        if not path.is_symlink()
    }


def disk_after(events):
    disk = Disk(Random(1))
    for event in events:
        if event.kind != "note":
            disk.apply(event)
    return disk


def states_of(events):
    """Return every state that a power cut at the end may leave, or nearly so."""
    disk = disk_after(events)
    random = Random(2)
    return {tuple(sorted(disk.after(random).items())) for _ in range(STATES)}


def kinds_of(events):
    return [(event.kind, event.text) for event in events]


MAKE_ONE = """
file = os.open(root, os.O_TMPFILE | os.O_WRONLY, 0o600)
os.write(file, b"content")
"""
LINK_IT = 'os.link(f"/proc/self/fd/{file}", "name", dst_dir_fd=folder, follow_symlinks=True)\n'


def test_a_nameless_file_gets_its_name_by_a_link(record):
    events, directory, _ = record(MAKE_ONE + LINK_IT)

    assert kinds_of(events)[0] == ("create nameless", "")
    assert kinds_of(events)[-1] == ("link", "name")
    assert {event.inode for event in events} == {(directory / "name").stat().st_ino}
    assert disk_after(events).now() == {"name": b"content"} == content_of(directory)


def test_a_nameless_file_that_is_never_linked_is_never_found(record):
    events, _, _ = record(MAKE_ONE + "os.fsync(file); os.fsync(folder)")

    assert states_of(events) == {()}


def test_a_name_without_a_sync_of_its_directory_may_be_lost_and_its_content_too(record):
    events, _, _ = record(MAKE_ONE + LINK_IT)

    assert states_of(events) >= {(), (("name", b"content"),), (("name", b""),), (("name", bytes(7)),)}


def test_a_sync_of_a_file_keeps_its_content_and_not_its_name(record):
    events, _, _ = record(MAKE_ONE + "os.fsync(file)\n" + LINK_IT)

    assert states_of(events) == {(), (("name", b"content"),)}


def test_a_sync_of_the_directory_keeps_the_name_and_not_the_content(record):
    events, _, _ = record(MAKE_ONE + LINK_IT + "os.fsync(folder)")

    states = states_of(events)
    assert states >= {(("name", b""),), (("name", bytes(7)),), (("name", b"content"),)}
    assert () not in states


def test_what_was_synced_with_its_directory_is_there(record):
    events, _, _ = record(MAKE_ONE + "os.fsync(file)\n" + LINK_IT + "os.fsync(folder)")

    assert states_of(events) == {(("name", b"content"),)}


def test_a_directory_that_was_not_synced_into_its_parent_takes_all_below_it_along(record):
    program = """
os.mkdir("values", 0o700, dir_fd=folder)
values = os.open("values", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
file = os.open("one", os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=values)
os.write(file, b"1")
os.fsync(file)
os.fsync(values)
"""
    events, _, _ = record(program)
    assert ("dirsync", "values") in kinds_of(events)
    assert states_of(events) == {(), (("values", None), ("values/one", b"1"))}


def test_names_that_were_unlinked_may_come_back_until_the_directory_is_synced(record):
    program = MAKE_ONE + "os.fsync(file)\n" + LINK_IT + "os.fsync(folder); os.unlink('name', dir_fd=folder)"
    events, _, _ = record(program)
    assert states_of(events) == {(), (("name", b"content"),)}


def test_any_of_the_changes_of_names_may_be_lost(record):
    program = """
for name in "abc":
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=folder))
"""
    events, _, _ = record(program)
    names = {"".join(name for name, _ in state) for state in states_of(events)}
    assert names == {"", "a", "b", "c", "ab", "ac", "bc", "abc"}


def test_blocks_that_were_not_synced_are_there_zero_or_missing_each_for_itself(record):
    program = """
file = os.open("big", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
os.write(file, b"x" * 4 * 4096)
os.fsync(folder)
"""
    events, _, _ = record(program)
    blocks = set()
    for ((_, content),) in states_of(events):
        if len(content) == 4 * 4096:
            pieces = [content[start : start + 4096] for start in range(0, len(content), 4096)]
            blocks.add("".join("x" if set(piece) == {120} else "0" if not any(piece) else "?" for piece in pieces))
    assert {"xxxx", "0000", "x000", "000x", "x0x0"} <= blocks


def test_every_way_to_change_files_by_descriptor_is_seen(record):
    program = """
os.mkdir("in", dir_fd=folder)
inner = os.open("in", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
source = os.open("in/source", os.O_RDWR | os.O_CREAT, dir_fd=folder)
os.writev(source, [b"abc", b"def", bytes(10_000)])
os.pwritev(source, [b"XY", b"Z"], 2)
os.pwrite(source, b"end", 20_000)
os.ftruncate(source, 20_001)
target = os.open("copy", os.O_WRONLY | os.O_CREAT, dir_fd=inner)
done = 0
while done < 20_001:
    done += os.copy_file_range(source, target, 20_001 - done, done, done)
os.lseek(source, 0, 0)
sent = os.open("sent", os.O_WRONLY | os.O_CREAT, dir_fd=inner)
while os.sendfile(sent, source, None, 5000):
    pass
again = os.open(f"/proc/self/fd/{sent}", os.O_WRONLY | os.O_APPEND)
os.write(again, b"appended")
copied = os.dup(sent)
os.close(sent)
os.pwrite(copied, b"by a copy of the descriptor", 7)
os.posix_fallocate(copied, 0, 30_000)
os.link("source", "second", src_dir_fd=inner, dst_dir_fd=inner)
os.rename("copy", "moved", src_dir_fd=inner, dst_dir_fd=folder)
os.replace(f"{root}/moved", f"{root}/in/replaced")
os.rename("in/source", "in/second", src_dir_fd=folder, dst_dir_fd=folder)  # two names of one file: both stay
os.mkdir(f"{root}/empty")
os.rmdir("empty", dir_fd=folder)
os.mkdir("old", dir_fd=folder)
os.close(os.open("old/file", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
os.rename("old", "new", src_dir_fd=folder, dst_dir_fd=folder)
with open(f"{root}/new/file", "ab") as file:
    file.write(b"buffered")
os.unlink("in/replaced", dir_fd=folder)
"""
    events, directory, _ = record(program)
    assert disk_after(events).now() == content_of(directory)
    assert content_of(directory).keys() == {"in", "in/source", "in/second", "in/sent", "new", "new/file"}


def test_any_sequence_of_calls_leaves_what_the_disk_says_that_processes_see(record):
    program = """
import random
dice = random.Random(7)
folders = {"": folder}
for number in range(600):
    at = dice.choice(list(folders))
    names = [name for name in os.listdir(folders[at]) if os.path.isfile(f"{root}/{at}/{name}")]
    verb = dice.choice(["create", "nameless", "write", "unlink", "rename", "link", "mkdir", "sync", "truncate"])
    new = f"n{number}"
    if verb == "mkdir" and len(folders) < 6:
        os.mkdir(new, dir_fd=folders[at])
        path = f"{at}/{new}".strip("/")
        folders[path] = os.open(new, os.O_RDONLY | os.O_DIRECTORY, dir_fd=folders[at])
    elif verb == "create" or not names:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT, dir_fd=folders[at]), "wb") as file:
            file.write(dice.randbytes(dice.randrange(9000)))
    elif verb == "nameless":
        file = os.open(f"{root}/{at}", os.O_TMPFILE | os.O_WRONLY)
        os.write(file, dice.randbytes(dice.randrange(9000)))
        if dice.random() < 0.7:
            os.link(f"/proc/self/fd/{file}", new, dst_dir_fd=folders[at])
        os.close(file)
    elif verb == "unlink":
        os.unlink(dice.choice(names), dir_fd=folders[at])
    elif verb in ("rename", "link"):
        to = dice.choice(list(folders))
        call = os.rename if verb == "rename" else os.link
        call(dice.choice(names), new, src_dir_fd=folders[at], dst_dir_fd=folders[to])
    elif verb == "sync":
        os.fsync(folders[at])
    else:
        file = os.open(dice.choice(names), os.O_RDWR, dir_fd=folders[at])
        if verb == "write":
            os.pwrite(file, dice.randbytes(dice.randrange(1, 9000)), dice.randrange(9000))
        else:
            os.ftruncate(file, dice.randrange(9000))
        os.close(file)
"""
    events, directory, _ = record(program)
    disk = disk_after(events)
    assert disk.now() == content_of(directory)
    random = Random(3)
    for _ in range(50):  # a state is one that a directory can hold
        lay_out(disk.after(random), directory)


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("open", "os.open('name', os.O_RDONLY, dir_fd=folder)"),
        ("open", "os.open(root, os.O_TMPFILE | os.O_WRONLY)"),
        ("link", "os.link('name', 'other', src_dir_fd=folder, dst_dir_fd=folder)"),
        ("unlink", "os.unlink('name', dir_fd=folder)"),
        ("rename", "os.rename('name', 'other', src_dir_fd=folder, dst_dir_fd=folder)"),
        ("mkdir", "os.mkdir('other', dir_fd=folder)"),
        ("list", "os.listdir(root)"),
        ("stat", "os.stat('name', dir_fd=folder)"),
        ("dirsync", "os.fsync(folder)"),
        ("lock", "fcntl.flock(file, fcntl.LOCK_EX)"),
        ("write", "os.writev(file, [b'a', b'b'])"),
        ("write", "os.copy_file_range(file, file, 3, 0, 5)"),
        ("read", "os.preadv(file, [bytearray(3)], 0)"),
    ],
)
def test_every_operation_can_be_made_to_fail(record, operation, call):
    program = f"""
import errno, fcntl
file = os.open("name", os.O_RDWR | os.O_CREAT, dir_fd=folder)
os.write(file, b"content")
arm({{"{operation}"}}, 1, errno.EIO, set(), "*/disk*")
try:
    {call}
except OSError as error:
    say(error.errno == errno.EIO)
"""
    _, directory, lines = record(program)
    assert lines == ["True"]
    assert content_of(directory) == {"name": b"content"}


def test_a_pattern_chooses_the_paths_that_fail(record):
    program = """
import errno
arm({"open"}, 1, errno.EIO, {"open"}, "*/disk/b*")
for name in ("a", "b", "c", "bc"):
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    except OSError:
        say(name)
"""
    _, directory, lines = record(program)
    assert lines == ["b", "bc"]
    assert set(content_of(directory)) == {"a", "c"}


def test_a_process_can_be_stopped_just_before_a_call(record):
    program = """
import signal
from tests.faults.syscalls import SIGNALLED
reading, writing = os.pipe()
child = os.fork()
if not child:
    arm({"open"}, 2, SIGNALLED + signal.SIGSTOP, set())
    for name in ("a", "b", "c"):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os._exit(0)
_, status = os.waitpid(child, os.WUNTRACED)
say(f"{os.WIFSTOPPED(status)} {sorted(os.listdir(root))}")
os.kill(child, signal.SIGCONT)
_, status = os.waitpid(child, 0)
say(f"{status} {sorted(os.listdir(root))}")
"""
    _, _, lines = record(program)
    assert lines == ["True ['a']", "0 ['a', 'b', 'c']"]


def test_what_cannot_be_recorded_ends_the_process(record):
    program = """
import mmap
file = os.open("name", os.O_RDWR | os.O_CREAT, dir_fd=folder)
os.ftruncate(file, 4096)
mmap.mmap(file, 4096)
"""
    with pytest.raises(AssertionError, match="a file that is changed through memory"):
        record(program)
