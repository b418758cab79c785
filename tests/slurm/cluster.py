"""A real Slurm on this machine: munged, slurmctld and a slurmd for each pretended node.

    with start(nodes=2) as cluster:                 # in a test: the fixture `slurm`
        cluster.run("srun", "-N2", "hostname")
        cluster.python("scripts/reproduce.py", "launcher=slurm", ..., cwd=folder)

Everything lies in a temporary folder with ports of its own, and all of it is gone at the end. Needs
root and Debian's slurm-wlm and munge; `missing()` says what isn't there. By hand, with two nodes,
until Ctrl-C: python -m tests.slurm.cluster 2
"""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "setpriv", "unshare")
# Starts a program that finds all nodes by their names.
NAMED = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"']
START = 30.0  # seconds until a daemon must answer

# Times are short, in seconds. KillWait: from SIGTERM to SIGKILL. SlurmdTimeout: until a node that
# doesn't answer is down; a node set down stays so (ReturnToService). cred_expire: until a requeued
# job begins again.
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=1
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdTimeout=20
KillWait=10
InactiveLimit=0
MinJobAge=300
MaxArraySize=1001
SchedulerParameters=sched_interval=1,sched_min_interval=100000,bf_interval=2
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=other Nodes=ALL Default=NO MaxTime=60 State=UP
"""


def missing() -> str:
    """Why no Slurm can be started here, or nothing."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"{', '.join(absent)} not on PATH: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "only root can start a Slurm"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"no mount namespaces here: {tried.stderr.strip()}"


@dataclass(frozen=True)
class Cluster:
    """A Slurm that runs.

    folder: of its logs (slurmctld.log, slurmd-<node>.log) and all else that is its own.
    environment: of programs that are to find it.
    """

    folder: Path
    nodes: list[str]
    environment: dict[str, str]

    def run(self, *words: str, check: bool = True, **more: Any) -> str:
        """What a program of Slurm's, or any other, prints; it finds this cluster."""
        done = subprocess.run(
            words, check=False, text=True, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"{' '.join(words)}: {done.stdout}"
        return done.stdout

    def python(self, script: str | Path, *arguments: str, cwd: Path) -> "subprocess.Popen[str]":
        """Start a script of the checkout in a folder; its output is one pipe of text."""
        return subprocess.Popen(
            [sys.executable, "-u", str(ROOT / script), *arguments], cwd=cwd, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment,
        )  # fmt: skip

    def jobs(self, *states: str) -> dict[str, str]:
        """The jobs in the queue, each array's element by its own id, and their states."""
        chosen = ["--states", ",".join(states)] if states else []
        lines = self.run("squeue", "--noheader", "--array", "--format=%i %T", *chosen)
        return {words[0]: words[1] for words in map(str.split, lines.splitlines())}

    def field(self, job: str, name: str) -> str:
        """What ``scontrol show job`` says, such as JobState, Restarts or Reason."""
        words = self.run("scontrol", "show", "job", job).split()
        return next(word.partition("=")[2] for word in words if word.startswith(f"{name}="))

    def limit_time(self, job: str) -> None:
        """Let the time of a running job be over in one to two minutes, its signal come before.

        Slurm counts whole minutes, and sends signals up to half a minute early.
        """
        *hours, minutes, _ = map(int, re.split("[-:]", self.field(job, "RunTime")))
        assert not any(hours)
        self.run("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes + 2}")

    @contextmanager
    def end_soon(self, job: str) -> Iterator[None]:
        """The same; once it is back in the queue, it has as much time as it wants."""
        self.limit_time(job)
        yield
        self.wait(lambda: self.field(job, "Restarts") == "1")
        self.run("scontrol", "update", f"JobId={job}", "TimeLimit=60")

    def down(self, node: str) -> None:
        """Set a node down: Slurm ends its jobs, and puts those back that may be requeued."""
        self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")

    def resume(self, *nodes: str) -> None:
        """Bring nodes back that were set down."""
        for node in nodes:
            state = self.run("sinfo", "-hN", "-n", node, "-p", "main", "-o", "%T")
            if "down" in state:
                self.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
        self.wait(lambda: not {"down", "unknown"} & set(self._states()))

    def wait(self, ready: Callable[[], object], seconds: float = 180) -> None:
        """Until something holds; TimeoutError after so many seconds."""
        began = time.monotonic()
        while not ready():
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"not within {seconds:.0f} s; {self._logs()}")
            time.sleep(0.1)

    def _states(self) -> list[str]:
        return self.run("sinfo", "-hN", "-p", "main", "-o", "%T", check=False).split()

    def _logs(self) -> str:
        logs = [*self.folder.glob("*.out"), *self.folder.glob("*.log")]
        return "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in logs)

    def processes(self, job: str = "") -> list[psutil.Process]:
        """Every process of this cluster: its daemons, its jobs, their children; or of one job."""
        own = {"SLURM_CONF": self.environment["SLURM_CONF"]}
        if job:
            own["SLURM_JOB_ID"] = self.field(job, "JobId")
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_own = own.items() <= process.environ().items()
                if is_own or (not job and self._is_step(process)):
                    found.append(process)
        return found

    def _is_step(self, process: psutil.Process) -> bool:
        """Whether it is a slurmstepd, which writes its title over its environment."""
        logs = self.folder / "slurmd-"
        return process.name() == "slurmstepd" and any(
            file.path.startswith(str(logs)) for file in process.open_files()
        )


@contextmanager
def start(nodes: int = 1, cpus: int = 2) -> Iterator[Cluster]:
    """A Slurm with nodes node1, node2, ..., of so many processors each, real or pretended."""
    # Not pytest's folder, which only root may enter: munged doesn't run as root. And a short path,
    # as that of a socket may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    cluster = Cluster(folder, [f"node{n + 1}" for n in range(nodes)], _environment(folder))
    _configure(cluster, cpus)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(_end, cluster)
        owner = pwd.getpwnam("munge")
        munge = folder / "munge"
        _daemon(
            cluster, "munged", "--foreground", f"--socket={munge}/socket",
            f"--key-file={munge}/key", f"--pid-file={munge}/pid",
            f"--seed-file={munge}/seed", "--num-threads=2",
            user=[f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"],
        )  # fmt: skip
        cluster.wait((munge / "socket").exists, START)
        _daemon(cluster, "slurmctld", "-D", "-c")
        for node in cluster.nodes:
            _daemon(cluster, *NAMED, str(folder / "hosts"), "slurmd", "-D", "-N", node)
        cluster.wait(lambda: cluster._states() == ["idle"] * nodes, START)
        yield cluster


def _path() -> str:
    """This Python's folder first, as in an active environment."""
    own = Path(sys.executable).parent
    return f"{own}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _environment(folder: Path) -> dict[str, str]:
    """This process' own, without the variables of a Slurm job that it may be itself."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLURM_", "SBATCH_", "SUBMITIT_"))
    }
    return {
        **kept, "PATH": _path(), "PYTHONPATH": str(ROOT), "SLURM_CONF": str(folder / "slurm.conf"),
    }  # fmt: skip


def _configure(cluster: Cluster, cpus: int) -> None:
    folder, host = cluster.folder, socket.gethostname().partition(".")[0]
    ports = _free_ports(1 + len(cluster.nodes))
    lines = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus}"
        f" RealMemory={psutil.virtual_memory().total // 2**20}"
        for node, port in zip(cluster.nodes, ports[1:], strict=True)
    )
    text = CONFIG.format(folder=folder, host=host, ports=ports, nodes=lines)
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text("")
    known = Path("/etc/hosts").read_text()
    (folder / "hosts").write_text(f"{known}\n127.0.0.1 {' '.join(cluster.nodes)}\n")
    (folder / "state").mkdir()
    munge = folder / "munge"
    munge.mkdir(mode=0o755)
    (munge / "key").write_bytes(os.urandom(1024))
    (munge / "key").chmod(0o600)
    for path in (munge, munge / "key"):
        shutil.chown(path, "munge", "munge")


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _daemon(cluster: Cluster, *words: str, user: Sequence[str] = ()) -> None:
    """Start a daemon that ends with this process, however that ends."""
    with (cluster.folder / f"{words[0]}.out").open("ab") as output:
        subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *user, *words],
            env=cluster.environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def _end(cluster: Cluster) -> None:
    """End every process of the cluster; jobs have no time to save."""
    while found := cluster.processes():
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=5)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with start(*map(int, sys.argv[1:])) as by_hand, suppress(KeyboardInterrupt):
        print(f"export SLURM_CONF={by_hand.environment['SLURM_CONF']}", flush=True)
        time.sleep(1e6)
