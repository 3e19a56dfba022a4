"""The host supervisor: the process that runs the control plane and, on some backends, the nodes."""

from __future__ import annotations

import datetime as dt
import subprocess
import xmlrpc.client
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil
from supervisor.xmlrpc import Faults

from k8s101.cluster.access.pki import Authority, create_control_plane
from k8s101.cluster.components import audit, etcd, kube_apiserver, kube_controller_manager, kube_scheduler
from k8s101.cluster.supervisor import rpc
from k8s101.cluster.supervisor.process import PID_FILE, Process, allow_open_files, supervisor_config
from k8s101.cluster.values.deadline import until
from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem

CONTROL_PLANE_TOOLS = ("etcd", "etcdctl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
CLIENTS = ("kube-controller-manager", "kube-scheduler")
"""Parts of the control plane that the API server refuses until it has written its own rules of access."""

CONTROL = "k8s101.cluster.host.control:make_rpcinterface"
START_SECONDS = 10
STOP_SECONDS = 10


def write_control_plane(settings: Settings) -> Authority:
    """Make the control plane's identities and its files about Secrets and the audit log; what exists is kept."""
    ca = create_control_plane(settings)
    if not (settings.state / "encryption.yaml").exists():
        kube_apiserver.write_encryption(settings, enabled=False)
    audit.write(settings)
    return ca


def control_plane_programs(settings: Settings, tools: Mapping[str, Path], *api_server_flags: str) -> list[Process]:
    """Return the control plane's four programs.

    Args:
        settings: the cluster's settings.
        tools: the path of each program.
        api_server_flags: flags of kube-apiserver that only some backends need.
    """
    return [
        etcd.process(settings, tools["etcd"]),
        kube_apiserver.process(settings, tools["kube-apiserver"], *api_server_flags),
        kube_controller_manager.process(settings, tools["kube-controller-manager"]),
        kube_scheduler.process(settings, tools["kube-scheduler"]),
    ]


def write_config(settings: Settings, programs: Iterable[Process], etcdctl: Path, control: str = CONTROL) -> None:
    """Write the supervisor's configuration.

    Args:
        settings: the cluster's settings.
        programs: what it runs.
        etcdctl: the program with which its control socket reads keys.
        control: what makes the interface of its control socket, as module and function.
    """
    interface = {
        "name": "k8s101",
        "factory": control,
        "state": str(settings.state),
        "etcdctl": str(etcdctl),
    }
    text = supervisor_config(
        programs,
        directory=settings.state,
        logs=settings.logs,
        socket_path=settings.control_socket,
        owner=settings.owner,
        interface=interface,
    )
    configuration_file(settings).write_text(text)


def launch(settings: Settings, command: Sequence[str]) -> None:
    """Start the supervisor, and with it all components, apart from this terminal.

    Args:
        settings: the cluster's settings.
        command: what becomes the supervisor.

    Raises:
        Problem: it ended at once.
    """
    log = settings.logs / "start.log"
    with log.open("wb") as output:
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/",
            "PYTHONDONTWRITEBYTECODE": "1",  # root writes nothing into an ordinary user's checkout
        }
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            start_new_session=True,
            preexec_fn=allow_open_files,
        )
    if result.returncode:
        raise _not_started(log)
    socket = settings.control_socket
    try:
        until(lambda: [rpc.client(socket).k8s101.status()], START_SECONDS, every=0.02, errors=(Exception,))
    except Exception as error:
        raise _not_started(settings.logs / "supervisord.log") from error
    # an ordinary user whose cluster was started through sudo asks whether it runs
    (settings.state / PID_FILE).chmod(0o644)


def _not_started(log: Path) -> Problem:
    lines = log.read_text(errors="replace").splitlines(keepends=True) if log.exists() else []
    return Problem(f"the supervisor did not start:\n{''.join(lines[-5:])}", where=str(log), then="k8s101 doctor")


def start_clients(settings: Settings) -> None:
    """Start what has to wait for the API server, unless it runs: refused, it would try again only after seconds."""
    for name in CLIENTS:
        ensure_started(settings, name)


def ensure_started(settings: Settings, name: str) -> None:
    """Start a program that does not start together with the supervisor, unless it runs."""
    try:
        rpc.client(settings.control_socket).k8s101.start(name)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != Faults.ALREADY_STARTED:
            raise


def process(settings: Settings) -> psutil.Process | None:
    """Return the running supervisor, or None."""
    try:
        found = psutil.Process(int((settings.state / PID_FILE).read_text()))
        # the number may belong to another process by now
        return found if configuration_file(settings).as_posix() in found.cmdline() else None
    except (OSError, ValueError, psutil.Error):
        return None


def wake(settings: Settings) -> None:
    """Let the supervisor run on, if somebody froze it."""
    supervisor = process(settings)
    if supervisor is not None and supervisor.status() == psutil.STATUS_STOPPED:
        supervisor.resume()


def started_at(settings: Settings) -> dt.datetime:
    """Return when the running supervisor started, or now without one."""
    supervisor = process(settings)
    if supervisor is None:
        return dt.datetime.now(dt.UTC)
    return dt.datetime.fromtimestamp(supervisor.create_time(), dt.UTC)


def end(settings: Settings) -> None:
    """Kill the supervisor; its children end with it, because they asked the kernel for that.

    Raises:
        Problem: a process did not end, which only a process stuck in the kernel does.
    """
    if (supervisor := process(settings)) is not None:
        family = [*supervisor.children(recursive=True), supervisor]
        supervisor.kill()
        refuse_survivors(family)
    for leftover in (settings.control_socket, settings.state / PID_FILE):
        leftover.unlink(missing_ok=True)


def refuse_survivors(processes: Sequence[psutil.Process]) -> None:
    """Wait until processes have ended.

    Raises:
        Problem: one did not.
    """
    alive = list(processes)

    def ended() -> bool:
        alive[:] = [process for process in alive if not _has_ended(process)]
        return not alive

    if not until(ended, STOP_SECONDS, every=0.02):
        raise Problem(
            f"processes that do not end: {', '.join(str(process.pid) for process in alive)}",
            where="/proc",
            then="k8s101 down again; if it stays, restart the machine",
        )


def _has_ended(process: psutil.Process) -> bool:
    """Tell whether a process runs no more; in containers often nobody buries what has ended.

    One whose first thread has ended is dead only when its others are, which may have much memory to give back.
    """
    try:
        if not process.is_running():
            return True
        return process.status() == psutil.STATUS_ZOMBIE and len(list(Path(f"/proc/{process.pid}/task").iterdir())) == 1
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True


def configuration_file(settings: Settings) -> Path:
    """Return the supervisor's configuration, by which its process is known, too."""
    return settings.state / "supervisord.conf"
