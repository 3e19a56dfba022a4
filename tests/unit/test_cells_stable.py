"""Stored outputs: what varies by nature is an ellipsis, and every planted difference survives."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8s101.lesson.cells.stable import chosen_ports, stabilise


def marked(command: str, text: str) -> str:
    """Return what kubectl in a cell prints in a run that is stored."""
    return "\x1ebegin" + "".join(f"\x1f{word}" for word in command.split()) + f"\x1e\n{text}\x1eend\x1e\n"


PODS = """\
NAME                     READY   STATUS    RESTARTS      AGE
hello-7cb6dfcb67-4x2vd   1/1     Running   0             3s
hello-7cb6dfcb67-9kq8z   0/1     Pending   0             3s
hello-7cb6dfcb67-zzzzz   1/1     Running   1 (12s ago)   2m10s
"""
OTHER_PODS = """\
NAME                     READY   STATUS    RESTARTS     AGE
hello-7cb6dfcb67-5wl7n   1/1     Running   1 (9s ago)   59s
hello-7cb6dfcb67-6d9pq   1/1     Running   0            10s
hello-7cb6dfcb67-xx2xx   0/1     Pending   0            10s
"""
STABLE_PODS = """\
NAME      READY   STATUS    RESTARTS    AGE
hello-…   0/1     Pending   0           …
hello-…   1/1     Running   0           …
hello-…   1/1     Running   1 (… ago)   …
"""


def test_two_runs_of_the_same_table_are_the_same() -> None:
    assert stabilise(marked("get pods", PODS)) == STABLE_PODS
    assert stabilise(marked("get pods -l app=hello", OTHER_PODS)) == STABLE_PODS


@pytest.mark.parametrize("options", ["--sort-by=.spec.nodeName", "--sort-by .spec.nodeName", "-w", "--watch"])
def test_an_order_that_was_asked_for_stays(options: str) -> None:
    statuses = [line.split()[2] for line in stabilise(marked(f"get pods {options}", PODS)).splitlines()[1:]]
    assert statuses == ["Running", "Pending", "Running"]


def test_only_what_ends_again_and_again_loses_its_count() -> None:
    table = """NAME      READY   STATUS       RESTARTS      AGE
once      1/1     Running      1 (3s ago)    5s
never     0/1     Error        0             5s
looping   0/1     Init:Error   4 (12s ago)   50s
"""
    assert (
        stabilise(table)
        == """NAME      READY   STATUS       RESTARTS    AGE
once      1/1     Running      1 (… ago)   …
never     0/1     Error        0           …
looping   0/1     Init:Error   … (… ago)   …
"""
    )


def test_what_another_program_printed_is_not_sorted() -> None:
    assert "Running   0           …\nhello-…   0/1     Pending" in stabilise(PODS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0/1 ", "1/1 "),
        ("Pending", "Running"),
        ("Pending", "Unknown"),
        ("1 (12s ago)", "2 (12s ago)"),
        ("hello-7cb6dfcb67-4x2vd", "world-7cb6dfcb67-4x2vd"),
        ("hello-7cb6dfcb67-4x2vd   1/1     Running   0             3s\n", ""),
        ("STATUS ", "STATES "),
    ],
)
def test_planted_differences_in_tables_survive(old: str, new: str) -> None:
    assert old in PODS
    assert stabilise(marked("get pods", PODS.replace(old, new))) != STABLE_PODS


WIDE = """\
NAME                     READY   STATUS    RESTARTS   AGE   IP            NODE       NOMINATED NODE   READINESS GATES
hello-7cb6dfcb67-4x2vd   1/1     Running   0          3s    10.244.3.17   worker-3   <none>           <none>
hello-7cb6dfcb67-9kq8z   1/1     Running   0          3s    10.244.1.9    worker-1   <none>           <none>
"""


def test_addresses_vary_and_nodes_do_not() -> None:
    assert stabilise(marked("get pods -o wide", WIDE)) == (
        "NAME      READY   STATUS    RESTARTS   AGE   IP    NODE       NOMINATED NODE   READINESS GATES\n"
        "hello-…   1/1     Running   0          …     …     worker-1   <none>           <none>\n"
        "hello-…   1/1     Running   0          …     …     worker-3   <none>           <none>\n"
    )


KINDS = """\
NAME                    READY   UP-TO-DATE   AVAILABLE   AGE
deployment.apps/hello   3/3     3            3           1s

NAME                               DESIRED   CURRENT   READY   AGE
replicaset.apps/hello-7cb6dfcb67   3         3         3       1s
replicaset.apps/hello-6b9f5d54c8   0         0         0       9s
"""


def test_each_of_several_tables_is_set_anew() -> None:
    assert stabilise(marked("get deployments,replicasets", KINDS)) == (
        "NAME                    READY   UP-TO-DATE   AVAILABLE   AGE\n"
        "deployment.apps/hello   3/3     3            3           …\n"
        "\n"
        "NAME                      DESIRED   CURRENT   READY   AGE\n"
        "replicaset.apps/hello-…   0         0         0       …\n"
        "replicaset.apps/hello-…   3         3         3       …\n"
    )


@pytest.mark.parametrize("option", ["-o name", "-oname", "-o=name", "--output=name", "--output name"])
def test_names_alone_are_sorted_too(option: str) -> None:
    text = "pod/web-7cb6dfcb67-4x2vd\npod/hello-7cb6dfcb67-4x2vd\n"
    assert stabilise(marked(f"get pods {option}", text)) == "pod/hello-…\npod/web-…\n"


STATUS = """\
Waiting for deployment "hello" rollout to finish: 0 of 3 updated replicas are available...
Waiting for deployment "hello" rollout to finish: 2 of 3 updated replicas are available...
deployment "hello" successfully rolled out
"""


def test_how_often_a_rollout_tells_its_progress_is_left_out() -> None:
    short = STATUS.splitlines(keepends=True)[-1]
    command = "rollout status deployment/hello --timeout=60s"
    assert stabilise(marked(command, STATUS)) == f"…\n{short}"
    assert stabilise(marked(command, short)) == f"…\n{short}"
    late = "Waiting for deployment spec update to be observed...\nerror: timed out waiting for the condition\n"
    assert stabilise(marked(command, late)) == "…\nerror: timed out waiting for the condition\n"


HISTORY = """\
deployment.apps/hello 
REVISION  CHANGE-CAUSE
1         <none>
2         release 1.0.1
10        1.1.0 with a greeting

"""


def test_a_history_keeps_its_form_and_order() -> None:
    assert stabilise(marked("rollout history deployment/hello", HISTORY)) == HISTORY


EVENTS = """\
Events:
  Type     Reason     Age                From               Message
  ----     ------     ----               ----               -------
  Normal   Scheduled  12s                default-scheduler  Successfully assigned x/hello-7cb6dfcb67-4x2vd to worker-3
  Normal   Pulled     11s                kubelet            Pulled image "hello:1" in 45ms (45ms including waiting)
  Warning  Unhealthy  2s (x7 over 12s)   kubelet            Readiness probe failed: statuscode: 500
"""


def test_events_lose_their_ages_and_nothing_else() -> None:
    assert stabilise(EVENTS) == (
        "Events:\n"
        "  Type     Reason     Age   From               Message\n"
        "  ----     ------     ----  ----               -------\n"
        "  Normal   Scheduled  …     default-scheduler  Successfully assigned x/hello-… to worker-3\n"
        '  Normal   Pulled     …     kubelet            Pulled image "hello:1" in …\n'
        "  Warning  Unhealthy  …     kubelet            "
        "Readiness probe failed: statuscode: 500\n"
    )


CONDITIONS = """\
Conditions:
  Type           Status  Reason
  ----           ------  ------
  Progressing    True    NewReplicaSetAvailable
  Available      True    MinimumReplicasAvailable
OldReplicaSets:  <none>
"""


def test_the_order_in_which_conditions_changed_is_left_out() -> None:
    text = stabilise(CONDITIONS)
    assert [line.split()[0] for line in text.splitlines()[3:]] == ["Available", "Progressing", "OldReplicaSets:"]
    assert stabilise(CONDITIONS.replace("True    Min", "False   Min")) != text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pod/agent-x2k7p condition met", "pod/agent-… condition met"),
        ('pod "hello-7cb6dfcb67-4x2vd" deleted', 'pod "hello-…" deleted'),
        ("job.batch/orders-29927916", "job.batch/orders-…"),
        ("pod/orders-29927916-x2k7p", "pod/orders-…"),
        ("pod/parts-0-x2k7p", "pod/parts-0-…"),
        ("uid: 3f0c6a52-8b1e-4c0e-9d57-0a7c1b2d3e4f", "uid: …"),
        ('creationTimestamp: "2026-11-23T08:42:17Z"', 'creationTimestamp: "…"'),
        ("Start Time:       Thu, 26 Nov 2026 06:50:26 +0000", "Start Time:       …"),
        ('resourceVersion: "4711"', 'resourceVersion: "…"'),
        ("Container ID:   containerd://" + "0123456789abcdef" * 4, "Container ID:   containerd://…"),
        ('failed to start exec "' + "0123456789abcdef" * 4 + '": OCI runtime', 'failed to start exec "…": OCI runtime'),
        ("Node:             worker-2/10.101.0.12", "Node:             worker-2/…"),
        ("hello 1.0.0 from hello-7cb6dfcb67-4x2vd", "hello 1.0.0 from hello-…"),
        ("2s (x7 over 12s)   Warning   Unhealthy", "(x… over …)   Warning   Unhealthy"),
        ("2026-11-23T08:42:17.520Z 10.244.3.1 GET / 500 0.1ms", "… … GET / 500 …"),
        ("Forwarding from 127.0.0.1:43817 -> 8000", "Forwarding from 127.0.0.1:… -> 8000"),
        ("web   NodePort   10.96.3.4   <none>   8000:31234/TCP", "web   NodePort   …   <none>   8000:…/TCP"),
        ("NodePort:                 http  31234/TCP", "NodePort:                 http  …/TCP"),
    ],
)
def test_what_varies_is_an_ellipsis(text: str, shown: str) -> None:
    assert stabilise(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "service/web-https created",
        "deployment.apps/blue-green unchanged",
        "worker-1 worker-12",
        "hello-x2k7p.yaml",
        "image: k8s101.test/hello:1.0.0",
        "127.0.0.1:8000 192.168.7.1 0.0.0.0",
        "waited 3s",
        "waited 20ms",
        "revision 1 2 3",
        "replicas: 3",
        "2026-11-23",
        "8000/TCP",
        "error: exceeded its progress deadline",
        "NAME",
        "DEBUG  INFO",
    ],
)
def test_all_else_stays(text: str) -> None:
    assert stabilise(text + "\n") == text + "\n"


def test_ports_that_somebody_chose_stay(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("ports:\n  - port: 8000\n    nodePort: 30080\n")
    ports = chosen_ports("kubectl port-forward service/web 48000:8000\n", tmp_path)
    text = "8000:30080/TCP 9000:31234/TCP\nForwarding from 127.0.0.1:48000 -> 8000\n"
    assert stabilise(text, ports) == "8000:30080/TCP 9000:…/TCP\nForwarding from 127.0.0.1:48000 -> 8000\n"


def test_a_line_that_does_not_fit_ends_the_table() -> None:
    text = "NAME   READY\nweb    1/1\ndone\nall is well here\n"
    assert stabilise(marked("get pods", text)) == text


LOGGED = (
    'I1126 12:24:27.185490   23292 reflector.go:664] "Warning: watch ended with error" reflector="client-go" '
    'type="*unstructured.Unstructured" err="unable to decode an event from the watch stream: context canceled"\n'
)


def test_what_kubectl_logs_of_a_wait_that_ended_is_left_out() -> None:
    told = "pod/web-6d9pqxx2xx-abcde condition met\n"
    assert stabilise(LOGGED + told) == stabilise(told)
    refused = LOGGED.replace("context canceled", "connection refused")
    assert "connection refused" in stabilise(refused + told)


REQUESTED = 'E1126 17:17:24.771170    7847 request.go:1198] "Unexpected error" err="context canceled"\n'


def test_what_helm_logs_of_a_wait_that_ended_is_left_out_too() -> None:
    assert stabilise(REQUESTED + "STATUS: deployed\n") == "STATUS: deployed\n"


RELEASES = (
    "NAME\tREVISION\tUPDATED                                \tSTATUS  \n"
    "shop\t1       \t2026-11-26 17:17:11.053267772 +0000 UTC\tdeployed\n",
    "NAME\tREVISION\tUPDATED                             \tSTATUS  \n"
    "shop\t1       \t2026-11-26 09:07:01.053267 +0100 CET  \tdeployed\n",
)


def test_two_lists_of_the_same_releases_are_the_same() -> None:
    stored = "NAME\tREVISION\tUPDATED\tSTATUS  \nshop\t1       \t…\tdeployed\n"
    assert [stabilise(text) for text in RELEASES] == [stored, stored]
    assert stabilise(RELEASES[0].replace("deployed", "failed  ")) != stored


def test_the_times_of_a_release_are_left_out() -> None:
    text = "LAST DEPLOYED: Thu Nov 26 17:17:11 2026\n1       \tThu Nov  6 17:17:11 2026\tdeployed\n"
    assert stabilise(text) == "LAST DEPLOYED: …\n1       \t…\tdeployed\n"


def test_what_top_measures_is_hidden_and_what_it_measures_stays() -> None:
    table = """NAME       CPU(cores)   CPU(%)   MEMORY(bytes)   MEMORY(%)
worker-1   183m         9%       412Mi           40%
worker-2   71m          3%       398Mi           39%
"""
    assert (
        stabilise(table)
        == """NAME       CPU(cores)   CPU(%)   MEMORY(bytes)   MEMORY(%)
worker-1   …            …        …               …
worker-2   …            …        …               …
"""
    )


@pytest.mark.parametrize(("found", "kept"), [("cpu: 312%/50%", "cpu: …%/50%"), ("cpu: <unknown>/50%", "")])
def test_what_an_autoscaler_measured_is_hidden_and_its_target_stays(found: str, kept: str) -> None:
    table = f"""NAME    REFERENCE          TARGETS       MINPODS   MAXPODS   REPLICAS   AGE
hello   Deployment/hello   {found}   1         4         4          12s
"""
    assert (kept or found) in stabilise(marked("get hpa", table))


def test_commits_and_how_long_their_check_took_vary() -> None:
    text = "health check failed after 30.06s: revision main@sha1:02de3927a801a95b4f34cf66b66a4d6ee980c216 of 2.5s\n"
    assert stabilise(text) == "health check failed after …: revision main@sha1:… of 2.5s\n"
