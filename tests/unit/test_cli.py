"""The program `sqlitedict-kv`: each command in a process of its own, on a file and on a server."""

import json
import os
import shlex
import sqlite3
import subprocess
import time
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from sqlitedict_kv import Store
from sqlitedict_kv.cli import ls, run
from sqlitedict_kv.cli.printable import printable
from sqlitedict_kv.cli.program import IN_ORDER
from tests.support.command_line import PROGRAM, run_program, well
from tests.support.processes import PATIENCE, environment

on_places = pytest.mark.parametrize("engine", ["file", "valkey"], indirect=True)
HOSTILE = "evil\x1b[31m\x07\x9b2J\u202e"


@pytest.fixture
def app(path):
    """A file with two namespaces."""
    with Store(path) as store:
        store.ns("users").update(ada={"name": "Ada"}, bob=[1, 2.5, None], eve="Eve")
        store.ns("sessions").set("token", b"\0secret", ttl="1 day")
    return path


@pytest.fixture
def filled(open_store, where):
    """The address of a store, in a file or on a server, whose clock is that of the program."""
    store = open_store(clock=time.time)
    store.ns("users").update(ada={"name": "Ada"}, bob=[1, 2.5, None], eve="Eve")
    store.ns("sessions").set("token", b"\0secret", ttl="1 day")
    return where


# -- the program itself


def test_the_package_installs_the_program():
    found = entry_points(group="console_scripts", name="sqlitedict-kv")
    assert not found or {entry.value for entry in found} == {"sqlitedict_kv.cli:main"}
    declared = Path(__file__).parents[2].joinpath("pyproject.toml").read_text(encoding="utf-8")
    assert 'sqlitedict-kv = "sqlitedict_kv.cli:main"' in declared


def test_it_says_its_version():
    assert well("--version").out.startswith("sqlitedict-kv ")


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX closes the streams")
@pytest.mark.parametrize(
    ("command", "closed", "code"),
    [
        ("ls app.db", ">&-", 1),
        ("ls app.db", ">&- 2>&- <&-", 1),
        ("ls app.db", "<&- 2>&-", 0),
        ("diagnose app.db", ">&-", 1),
        ("get app.db users ada", ">&-", 1),
        ("set app.db users new -", "<&-", 0),
        ("purge app.db", "2>&-", 0),
        ("rm app.db users --prefix ''", "<&-", 2),
        ("ls missing.db", "2>&-", 1),
    ],
)
def test_closed_standard_streams_are_no_fault(app, command, closed, code):
    line = f"exec {shlex.join(PROGRAM)} {command} {closed}"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=app.parent,
        env=environment(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        input=b"",
    )
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr and b"ignored" not in done.stderr
    assert well("check", app).out.startswith(("3", "4", "5"))


def test_times_that_no_calendar_has_are_shown_as_such(app):
    with closing(sqlite3.connect(app)) as connection, connection:
        connection.execute("UPDATE kv SET updated_at = ?, expires_at = ? WHERE key = 'ada'", (-(2**62), 2**62))
    for command in (["ls"], ["usage"], ["keys", "users", "-l"], ["top"]):
        assert "after the year 9999" in well(command[0], app, *command[1:]).out
        assert "after the year 9999" in json.dumps(well(command[0], app, *command[1:], "--json").json)
    assert "before the year 1" in well("keys", app, "users", "-l").out
    with Store(app, readonly=True) as store:
        usage, of_users = store.usage(), store.ns("users").usage()
        assert "after the year 9999" in store._repr_html_()
        assert "before the year 1" in store.ns("users")._repr_html_()
        assert usage._repr_html_()
    assert (usage.oldest.year, of_users.next_expiry.year) == (1, 9999)


@pytest.mark.parametrize("name", IN_ORDER)
def test_each_command_has_help_with_an_example(name):
    done = well(name, "--help")
    assert f"sqlitedict-kv {name}" in done.out.partition("ample")[2]
    assert done.out.lower().startswith(f"usage: sqlitedict-kv {name}")


def test_without_the_extra_one_line_says_what_to_install_and_two_commands_work(app, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for name in ("click", "rich"):
        (hidden / f"{name}.py").write_text(f"raise ModuleNotFoundError('hidden', name={name!r})")
    path = os.pathsep.join([str(hidden), environment().get("PYTHONPATH", "")])
    done = run_program("ls", app, variables={"PYTHONPATH": path})
    assert done.code == 2
    assert "pip install 'sqlitedict-kv[cli]'" in done.err
    assert done.err.count("\n") == 1
    assert well("diagnose", app, variables={"PYTHONPATH": path}).out
    assert well("copy", app, tmp_path / "new.db", variables={"PYTHONPATH": path}).out.startswith("4 entries")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_prints_a_completion_for_each_shell(shell):
    assert "_SQLITEDICT_KV_COMPLETE" in well("completion", shell).out


@pytest.mark.parametrize(
    ("words", "proposed"),
    [("l", {"ls"}), ("ls app.db --j", {"--json"}), ("keys app.db u", {"users"}), ("get app.db users a", {"ada"})],
)
def test_commands_options_namespaces_and_keys_are_completed(app, words, proposed, monkeypatch):
    monkeypatch.chdir(app.parent)
    words = words.split()
    done = run_program(
        variables={
            "_SQLITEDICT_KV_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["sqlitedict-kv", *words]),
            "COMP_CWORD": str(len(words)),
        }
    )
    assert {line.split(",")[1] for line in done.out.splitlines()} == proposed


def test_a_closed_pipe_is_no_error(path):
    with Store(path) as store:
        store.ns("n").set_many({f"key {number:06}" * 8: number for number in range(20_000)})
    program = subprocess.Popen(
        [*PROGRAM, "keys", str(path), "n"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert program.stdout.readline().startswith(b"key 000000")
    program.stdout.close()
    assert program.stderr.read() == b""
    program.stderr.close()
    assert program.wait(60) in (141, 1)


def test_output_is_utf_8_whatever_the_locale(path):
    with Store(path) as store:
        store.ns("ñ")["ключ"] = "значение"
    variables = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    assert "ñ" in well("ls", path, variables=variables).out
    assert well("get", path, "ñ", "ключ", variables={"PYTHONUTF8": "1"}).out == "значение\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("lss", "{app}"), 2, "did you mean 'ls'"),
        (("ls",), 2, "STORE"),
        (("ls", "{none}"), 1, "there is no file"),
        (("ls", ":memory:"), 2, "memory"),
        (("ls", "ftp://host"), 2, "ftp://"),
        (("ls", "{foreign}"), 1, "not a SQLite database"),
        (("get", "{app}", "users"), 2, "KEY"),
        (("get", "{app}", "userz", "ada"), 3, "there are 'users'"),
        (("get", "{app}", "users", "adda"), 3, "no entry 'adda'"),
        (("keys", "{app}", "users", "--limit", "0"), 2, "--limit"),
        (("keys", "{app}", "u" * 300), 2, "255"),
        (("set", "{app}", "users", "k"), 2, "VALUE"),
        (("set", "{app}", "users", "k", "1", "--ttl", "soon"), 2, "ttl"),
        (("set", "{app}", "users", "k", "1", "--ttl", "-1"), 2, "ttl"),
        (("set", "{app}", "users", "ada", "1", "--version", "9"), 4, "version 9"),
        (("set", "{app}", "users", "ada", "1", "--add"), 4, "no entry"),
        (("set", "{app}", "users", "ada", "--file", "{none}"), 1, "none.db"),
        (("rm", "{none}", "users", "ada"), 1, "there is no file"),
        (("rm", "{app}", "users"), 2, "keys or --prefix"),
        (("rm", "{app}", "users", "zoe"), 3, "zoe"),
        (("rm", "{app}", "users", "--prefix", "a"), 2, "--yes"),
        (("drop", "{app}", "users"), 2, "--yes"),
        (("drop", "{app}", "userz", "-y"), 3, "users"),
        (("ttl", "{app}", "users", "zoe", "60"), 3, "zoe"),
        (("backup", "{app}", "{app}"), 1, "already"),
        (("restore", "{app}", "{none}", "-y"), 1, "there is no file"),
        (("restore", "{app}", "{app}", "-y"), 2, "itself"),
        (("restore", "{app}", "{foreign}", "-y"), 1, "not a SQLite database"),
        (("completion", "tcsh"), 2, "tcsh"),
    ],
)
def test_a_mistake_is_answered_in_words_and_by_a_code(app, tmp_path, arguments, code, said):
    (tmp_path / "foreign.db").write_text("this is not a database, it is a text of some length" * 20)
    before = app.read_bytes()
    names = {"app": app, "none": tmp_path / "none.db", "foreign": tmp_path / "foreign.db"}
    done = run_program(*(argument.format(**names) for argument in arguments))
    assert done.code == code, done
    assert said in done.err, done
    assert done.out in ("", "0 entries removed\n")
    assert not (tmp_path / "none.db").exists()
    if code == 2:
        assert app.read_bytes() == before


def test_what_would_control_the_terminal_is_shown_escaped(path):
    with Store(path) as store:
        store.ns(HOSTILE).set(HOSTILE, [HOSTILE])
        store.ns("n").set("k", HOSTILE)
    for arguments in (
        ("ls", path),
        ("ls", path, "--json"),
        ("keys", path, HOSTILE),
        ("keys", path, HOSTILE, "--long"),
        ("keys", path, HOSTILE, "--json"),
        ("get", path, HOSTILE, HOSTILE),
        ("get", path, HOSTILE, HOSTILE, "--json"),
        ("get", path, "n", "k", "--json"),
        ("stats", path, HOSTILE),
        ("get", path, HOSTILE, "missing"),
        ("get", path, "missing", "missing"),
    ):
        done = run_program(*arguments)
        shown = done.out + done.err
        assert shown
        assert all(character.isprintable() or character in "\n\t" for character in shown), (arguments, shown)
    assert well("keys", path, HOSTILE, "--null").out == f"{HOSTILE}\0"


def test_text_that_is_printed_stays_as_it_is():
    assert printable("Grüße, 世界 🙂 \\n") == "Grüße, 世界 🙂 \\n"
    assert printable("a\tb\r\x7f\u202e\ud800") == "a\\tb\\r\\x7f\\u202e\\ud800"


# -- looking


@on_places
def test_ls_shows_the_namespaces(filled):
    assert [row[:3] for row in well("ls", filled).rows] == [["sessions", "1", "7 B"], ["users", "3", "31 B"]]
    sessions, users = well("ls", filled, "--json").json
    assert (sessions["namespace"], sessions["entries"], sessions["bytes"], sessions["complete"]) == (
        "sessions",
        1,
        7,
        True,
    )
    assert sessions["next_expiry"] > sessions["newest"]
    assert (users["entries"], users["next_expiry"]) == (3, None)


def test_ls_says_at_least_where_it_could_not_look_at_all_entries_in_time(path, monkeypatch, capsys):
    with Store(path) as store:
        store.ns("a")["k"] = 1
        store.ns("many").set_many({f"key{number:05}": number for number in range(10_000)})
    monkeypatch.setattr(ls, "DEADLINE", 0.0)
    assert run(["ls", str(path), "--json"]) == 0
    a, many = json.loads(capsys.readouterr().out)
    assert a["entries"] == 1
    assert (many["complete"], many["entries"]) == (False, 10_000)  # counted by an index
    assert many["bytes"] < 38_890
    monkeypatch.setattr(ls, "QUICKLY_COUNTED", 0)
    run(["ls", str(path)])
    assert "many\t≥ " in capsys.readouterr().out
    run(["ls", str(path), "--exact"])
    assert "many\t10,000\t38.0 KiB" in capsys.readouterr().out


@on_places
def test_usage_counts_everything(filled):
    usage = well("usage", filled, "--json").json
    assert (usage["entries"], usage["bytes"], usage["complete"]) == (4, 38, True)
    assert usage["by_content_type"]["application/octet-stream"] == {"entries": 1, "bytes": 7}
    assert usage["namespaces"]["users"]["bytes"] == 31
    rows = well("usage", filled).rows
    assert [row[:3] for row in rows] == [["users", "3", "31 B"], ["sessions", "1", "7 B"], ["(total)", "4", "38 B"]]
    assert [row[:2] for row in well("usage", filled, "users").rows] == [["users", "3"]]
    assert well("usage", filled, "--types").rows[0] == ["application/json", "3", "31 B"]


@on_places
def test_top_lists_the_largest_entries(filled):
    assert [row[:3] for row in well("top", filled, "-n", "2").rows] == [
        ["users", "ada", "14 B"],
        ["users", "bob", "12 B"],
    ]
    (largest,) = well("top", filled, "sessions", "--json").json
    assert (largest["key"], largest["bytes"], largest["version"] > 0) == ("token", 7, True)
    assert run_program("top", filled, "missing").code == 3


@on_places
def test_keys_are_listed_in_order(filled):
    assert well("keys", filled, "users").out == "ada\nbob\neve\n"
    assert well("keys", filled, "users", "--reverse", "--limit", "2").out == "eve\nbob\n"
    assert well("keys", filled, "users", "--prefix", "b", "--json").json == ["bob"]
    (row,) = well("keys", filled, "sessions", "--long").rows
    assert row[0] == "token"
    assert row[1:3] == ["7 B", "application/octet-stream"]
    assert row[4].startswith(("in 23h", "in 1d"))
    (row,) = well("keys", filled, "sessions", "-l", "--json").json
    assert row["bytes"] == 7
    assert row["expires_at"].endswith("Z")


@on_places
def test_get_prints_values(filled):
    assert well("get", filled, "users", "ada").out == '{"name": "Ada"}\n'
    assert well("get", filled, "users", "eve").out == "Eve\n"
    assert well("get", filled, "users", "eve", "--raw").out == '"Eve"'
    assert well("get", filled, "sessions", "token").out == "\0secret"
    described = well("get", filled, "users", "bob", "--json").json
    assert described["value"] == [1, 2.5, None]
    assert described["content_type"] == "application/json"
    assert "value" not in well("get", filled, "users", "bob", "--json", "--meta").json
    assert "version" in well("get", filled, "users", "bob", "--meta").out


def test_get_shows_values_that_json_has_no_words_for(path):
    numpy = pytest.importorskip("numpy")
    with Store(path) as store:
        store.ns("n").update(
            array=numpy.arange(12.0).reshape(3, 4), pair=(1, {2, 3}), big=2**70, odd={"a": float("inf"), 1: b"\0"}
        )
    assert json.loads(well("get", path, "n", "array").out) == {
        "type": "numpy.ndarray",
        "dtype": "float64",
        "shape": [3, 4],
        "first": [float(number) for number in range(10)],
    }
    assert json.loads(well("get", path, "n", "pair").out) == [1, [2, 3]]
    assert json.loads(well("get", path, "n", "big").out) == 2**70
    assert json.loads(well("get", path, "n", "odd").out)["a"] == "inf"


def test_get_shows_the_fields_of_an_object_whose_class_it_does_not_make(path):
    code = """
        from dataclasses import dataclass
        from sqlitedict_kv import Store

        @dataclass
        class User:
            name: str

        with Store(sys.argv[1], types=[User]) as store:
            store.ns("n")["ada"] = User("Ada")
        say("done")
    """
    from tests.support.processes import Worker

    assert Worker(code, path).finish() == ["done"]
    assert "Ada" in well("get", path, "n", "ada").out


def test_a_value_in_a_file_is_shown_as_any_other(path, tmp_path):
    large = os.urandom(100_000)
    with Store(path, files_above="64 KiB") as store:
        store.ns("n")["large"] = large
        store.ns("n")["tree"] = ["x" * 100_000]
    for arguments in (("get", path, "n", "large"), ("get", path, "n", "large", "--raw")):
        assert well(*arguments).out.encode(errors="surrogateescape") == large
    assert json.loads(well("get", path, "n", "tree").out) == ["x" * 100_000]
    described = well("get", path, "n", "large", "--meta", "--json").json
    assert (described["bytes"], described["content_type"]) == (100_000, "application/octet-stream")
    assert well("top", path, "-n", "1", "--json").json[0]["key"] == "tree"
    assert [row[:4] for row in well("usage", path, "n").rows] == [["n", "2", "195 KiB", "195 KiB"]]
    well("import", tmp_path / "new.db", "-", given=well("export", path).out)
    assert well("get", tmp_path / "new.db", "n", "large").out.encode(errors="surrogateescape") == large


@on_places
def test_stats_counts(filled):
    assert well("stats", filled, "--json").json["entries"] == 4
    assert well("stats", filled, "users", "--json").json == {"namespace": "users", "entries": 3, "expired": 0}
    assert "namespaces" in well("stats", filled).out


# -- writing


@on_places
def test_set_writes_what_get_reads(filled):
    assert int(well("set", filled, "users", "zoe", '{"age": 7}').out) > 0
    assert well("get", filled, "users", "zoe").out == '{"age": 7}\n'
    well("set", filled, "users", "zoe", "seven of nine")
    assert well("get", filled, "users", "zoe", "--raw").out == '"seven of nine"'
    well("set", filled, "users", "zoe", "7", "--text")
    assert well("get", filled, "users", "zoe", "--raw").out == '"7"'
    well("set", filled, "users", "zoe", "--file", "-", given=b"\x1b\0\xff")
    assert well("get", filled, "users", "zoe").out.encode(errors="surrogateescape") == b"\x1b\0\xff"
    version = well("set", filled, "users", "zoe", "8", "--ttl", "1h").out.strip()
    assert well("ttl", filled, "users", "zoe", "--json").json["seconds"] > 3000
    well("set", filled, "users", "zoe", "9", "--version", version)
    assert well("ttl", filled, "users", "zoe").out == "never\n"
    well("set", filled, "users", "new", "1", "--add")


def test_set_makes_a_file_and_says_so(path):
    assert "was made" in well("set", path, "n", "k", "1").err
    assert well("set", path, "n", "k", "2").err == ""


@on_places
def test_rm_removes(filled):
    done = run_program("rm", filled, "users", "ada", "nobody")
    assert (done.code, done.out, done.err) == (3, "1 entry removed\n", "there is no entry 'nobody'\n")
    assert well("rm", filled, "users", "--prefix", "", "--yes").out == "2 entries removed\n"
    assert [row[0] for row in well("ls", filled).rows] == ["sessions"]


@on_places
def test_ttl_is_shown_and_changed(filled):
    assert well("ttl", filled, "sessions", "token").out.startswith(("in 23h", "in 1d"))
    assert well("ttl", filled, "sessions", "token", "90").out.startswith("in 1min")
    assert well("ttl", filled, "sessions", "token", "never").out == "never\n"


@on_places
def test_drop_removes_a_namespace(filled):
    assert well("drop", filled, "users", "--yes").out == "3 entries removed\n"
    assert run_program("keys", filled, "users").code == 3


@on_places
def test_purge_removes_what_has_expired(open_store, where, clock):
    clock.nanoseconds = 10**18  # long ago
    open_store().ns("n").set("k", 1, ttl=1)
    open_store().ns("m").set("k", 1, ttl=1)
    assert well("purge", where, "n").out in ("1 expired entry removed\n", "0 expired entries removed\n")
    assert well("purge", where).out in ("1 expired entry removed\n", "0 expired entries removed\n")


def test_a_command_that_looks_changes_nothing(app):
    before = app.read_bytes()
    for arguments in (("ls",), ("keys", "users"), ("get", "users", "ada"), ("ttl", "users", "ada"), ("stats",)):
        well(arguments[0], app, *arguments[1:])
    well("check", app)
    assert app.read_bytes() == before


# -- whole stores


def test_merge_takes_over_what_is_newer(app, tmp_path):
    other = tmp_path / "other.db"
    assert "taken over" in well("merge", other, app).out
    assert well("get", other, "users", "ada").out == well("get", app, "users", "ada").out
    well("set", other, "users", "ada", "7")
    assert well("merge", app, other, "--namespace", "missing").out == f"0 entries taken over from {other} into {app}\n"
    assert well("merge", app, other).out == f"1 entry taken over from {other} into {app}\n"
    assert well("get", app, "users", "ada").out == "7\n"
    assert run_program("merge", app, tmp_path / "missing.db").code == 1


@on_places
def test_check_finds_no_damage(filled):
    assert "no damage" in well("check", filled).out
    assert well("check", filled, "--json").json["ok"] is True


def test_check_names_a_damaged_entry(app):
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(app)) as connection, connection:
        connection.execute("UPDATE kv SET value = x'00' WHERE key = 'ada'")
    done = run_program("check", app)
    assert done.code == 1
    assert "'ada'" in done.out
    assert run_program("check", app, "--json").json["ok"] is False


def test_vacuum_gives_space_back(path):
    with Store(path) as store:
        store.ns("n").set_many({str(number): "x" * 10_000 for number in range(100)})
        store.drop("n")
    before = path.stat().st_size
    assert "now" in well("vacuum", path).out
    assert path.stat().st_size < before


def test_a_backup_is_restored(app, tmp_path):
    backup = tmp_path / "backup.db"
    well("backup", app, backup)
    with Store(app) as store:
        version = store.ns("users").set("ada", "changed")
        store.ns("later")["k"] = 1
        assert "2 namespaces" in well("restore", app, backup, "--yes").out
        assert store.ns("users")["ada"] == {"name": "Ada"}  # seen by those who had it open
        assert store.namespaces() == ["sessions", "users"]
        assert store.ns("users").get_with_meta("ada").meta.version > version
        assert store.check().ok
    assert well("restore", tmp_path / "new.db", backup).err.endswith("was made\n")
    assert well("get", tmp_path / "new.db", "users", "eve").out == "Eve\n"


def test_a_damaged_backup_is_refused_and_nothing_is_changed(app, tmp_path):
    import sqlite3
    from contextlib import closing

    backup = tmp_path / "backup.db"
    well("backup", app, backup)
    with closing(sqlite3.connect(backup)) as connection, connection:
        connection.execute("UPDATE kv SET value = x'00' WHERE key = 'ada'")
    done = run_program("restore", app, backup, "-y")
    assert (done.code, "damaged" in done.err) == (1, True)
    assert well("get", app, "users", "ada").out == '{"name": "Ada"}\n'


def test_a_damaged_store_is_restored_with_quarantine(app, tmp_path):
    backup = tmp_path / "backup.db"
    well("backup", app, backup)
    content = bytearray(app.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    app.write_bytes(content)
    assert run_program("restore", app, backup, "-y").code == 1
    assert "lies at" in well("restore", app, backup, "-y", "--quarantine").err
    assert well("get", app, "users", "eve").out == "Eve\n"


@pytest.mark.parametrize("engine", ["valkey"], indirect=True)
def test_what_is_for_files_is_refused_on_servers(filled, tmp_path):
    for arguments in (
        ("vacuum", filled),
        ("backup", filled, tmp_path / "b"),
        ("restore", filled, tmp_path / "b", "-y"),
    ):
        done = run_program(*arguments)
        assert (done.code, "for files" in done.err) == (2, True), done


def test_a_store_that_is_busy_is_worth_another_try(app):
    with Store(app) as store, store.exclusive():
        done = run_program("set", app, "users", "k", "1")
    assert done.code == 5
