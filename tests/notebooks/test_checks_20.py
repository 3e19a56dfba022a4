"""Module 20 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.modules.security_exercises import ENFORCE, LAB, PAY, REPORTS, account
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("20")
bash, cell, changed = PAGE.bash, PAGE.cell, PAGE.changed


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("security") as api:
        yield api
        bash(f"kubectl delete namespace {PAY} {LAB} {REPORTS} --ignore-not-found --wait=false")


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "rolebindings", "roles", "secrets")
    bash("kubectl delete serviceaccount mailer --ignore-not-found")


@pytest.fixture
def restricted(api: Api) -> Iterator[Api]:
    """The app of exercise 1 as the lesson leaves it: it runs, and would not be admitted again."""
    bash(
        f"""
        sed s/NODE/worker-1/ pay.yaml | kubectl apply -f -
        kubectl create secret generic database -n {PAY} --from-literal=password=correct-horse
        kubectl rollout status deployment/pay -n {PAY} --timeout=60s
        kubectl label namespace {PAY} {ENFORCE}=restricted --overwrite
        """
    )
    yield api
    bash(f"kubectl delete deployment,secret -n {PAY} --all --ignore-not-found")


def test_nothing_is_attempted_at_the_start(restricted: Api) -> None:
    assert last_line(restricted, "pay") == "○ not attempted: pay is as its team left it"
    assert last_line(restricted, "mailer") == "○ not attempted: there is no ServiceAccount mailer yet"
    assert last_line(restricted, "reports").startswith("○ not attempted: there is no reports in namespace")


def test_the_pay_of_the_solution_passes(restricted: Api) -> None:
    bash(cell("20-exercise-1-solution"))
    assert_passes(restricted, "pay")


def test_settings_of_the_container_alone_pass_too(restricted: Api) -> None:
    pod = "        runAsNonRoot: true\n        seccompProfile: {type: RuntimeDefault}\n"
    changed(
        "solution-pay.yaml",
        ("      securityContext:\n" + pod, ""),
        (
            "            allowPriv",
            "            runAsNonRoot: true\n            seccompProfile: {type: RuntimeDefault}\n            allowPriv",
        ),
    )
    assert_passes(restricted, "pay")


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("            capabilities: {drop: [ALL]}\n", "unrestricted capabilities"),
        ("        seccompProfile: {type: RuntimeDefault}\n", "seccompProfile"),
        ("            readOnlyRootFilesystem: true\n", "its container can still write to its own image"),
        ("      automountServiceAccountToken: false\n", "its Pods still get a token for the API"),
    ],
)
def test_what_is_missing_from_pay_is_told(restricted: Api, missing: str, told: str) -> None:
    changed("solution-pay.yaml", (missing, ""))
    line = last_line(restricted, "pay")
    assert line.startswith("✗ not yet: ")
    assert told in line


def test_a_user_whom_the_kubelet_refuses_is_told(restricted: Api) -> None:
    changed("solution-pay.yaml", ("runAsNonRoot: true\n", "runAsNonRoot: true\n        runAsUser: 0\n"))
    assert "runAsUser=0" in last_line(restricted, "pay")


def test_to_lower_the_level_is_no_solution(restricted: Api) -> None:
    bash(f"kubectl label namespace {PAY} {ENFORCE}=privileged --overwrite")
    changed("solution-pay.yaml", ("            readOnlyRootFilesystem: true\n", ""))
    assert last_line(restricted, "pay") == "✗ not yet: the namespace of pay enforces privileged now"


LISTS = "mailer may list Secrets, and a list contains all of them with their contents"


def test_the_mailer_of_the_solution_passes(api: Api) -> None:
    bash(cell("20-exercise-2-solution"))
    assert_passes(api, "mailer")


def test_commands_alone_pass_too(api: Api) -> None:
    bash(
        """
        kubectl create serviceaccount mailer
        kubectl create role only-smtp --verb=get --resource=secrets --resource-name=smtp
        kubectl create rolebinding mailer --role=only-smtp --serviceaccount=k8s101-security:mailer
        """
    )
    assert_passes(api, "mailer")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("resourceNames: [smtp]", "resourceNames: [smpt]"), "mailer may not get the Secret smtp"),
        (
            ("name: mailer\n    namespace: k8s101", "name: mailer\n    namespace: x-k8s101"),
            "mailer may not get the Secret",
        ),
        (("    resourceNames: [smtp]\n", ""), "mailer may read the other Secrets, too"),
        (("verbs: [get]", "verbs: [get]\n  - {apiGroups: [''], resources: [secrets], verbs: [list]}"), LISTS),
        (
            ("verbs: [get]", "verbs: [get]\n  - {apiGroups: [''], resources: [pods], verbs: [create]}"),
            "may create pods",
        ),
        (
            ("ServiceAccount\n    name: mailer", "ServiceAccount\n    name: default"),
            "mailer may not get the Secret smtp",
        ),
    ],
)
def test_what_is_wrong_with_mailer_is_told(api: Api, change: tuple[str, str], told: str) -> None:
    changed("solution-mailer.yaml", change)
    line = last_line(api, "mailer")
    assert line.startswith("✗ not yet: ")
    assert told in line


def test_a_right_for_every_account_is_told(api: Api) -> None:
    bash(cell("20-exercise-2-solution"))
    bash("kubectl create rolebinding wide --role=mailer --group=system:serviceaccounts:k8s101-security")
    line = last_line(api, "mailer")
    assert line == "✗ not yet: every Pod here without an account of its own may read smtp, too"


def test_a_right_in_every_namespace_is_told(api: Api) -> None:
    bash("kubectl create serviceaccount mailer")
    bash("kubectl create clusterrole k8s101-test-smtp --verb=get --resource=secrets --resource-name=smtp")
    bash(
        "kubectl create clusterrolebinding k8s101-test-smtp --clusterrole=k8s101-test-smtp "
        "--serviceaccount=k8s101-security:mailer"
    )
    try:
        line = last_line(api, "mailer")
    finally:
        bash("kubectl delete clusterrole,clusterrolebinding k8s101-test-smtp")
    assert line == "✗ not yet: mailer may read Secrets named smtp in every namespace"


@pytest.fixture
def reports(api: Api) -> Iterator[Api]:
    """The fault of exercise 3, as the page prepares it."""
    bash(cell("20-exercise-3-fault"))
    yield api
    bash(f"kubectl delete rolebinding,role -n {REPORTS} --all")


SUBJECT = f"kubectl set subject rolebinding reports -n {REPORTS} --serviceaccount={REPORTS}:reports"


def test_the_fault_stays_until_somebody_acts(reports: Api) -> None:
    assert last_line(reports, "reports") == "○ not attempted: reports is as your colleague left it"


def test_the_repair_of_the_solution_passes(reports: Api) -> None:
    bash(cell("20-exercise-3-solution"))
    assert_passes(reports, "reports")


def test_a_new_role_passes_too(reports: Api) -> None:
    bash(
        f"""
        kubectl create role list -n {REPORTS} --verb=get,list --resource=pods,deployments.apps
        kubectl create rolebinding list -n {REPORTS} --role=list --serviceaccount={REPORTS}:reports
        """
    )
    assert_passes(reports, "reports")


@pytest.mark.parametrize(
    ("commands", "told"),
    [
        (SUBJECT, "reports may get one Pod by name now, and may not list them"),
        (
            f"kubectl create rolebinding x -n {REPORTS} --clusterrole=cluster-admin --serviceaccount={REPORTS}:reports",
            "reports may now also get secrets and delete pods",
        ),
        (
            f"kubectl create rolebinding more -n {REPORTS} --clusterrole=view --group=system:serviceaccounts:{REPORTS}",
            "every account of the namespace may list Pods now",
        ),
        (
            f"""
            {SUBJECT}
            kubectl create role list -n {REPORTS} --verb=list --resource=pods
            kubectl create rolebinding list -n {REPORTS} --role=list --serviceaccount={REPORTS}:reports
            kubectl create rolebinding more -n {REPORTS} --role=list --serviceaccount=default:reports
            """,
            "the account reports of namespace default may list them, too",
        ),
        (f"kubectl delete role reports -n {REPORTS}", "reports may still read nothing at all in its namespace"),
    ],
)
def test_what_is_no_repair_is_told(reports: Api, commands: str, told: str) -> None:
    bash(commands)
    assert last_line(reports, "reports") == f"✗ not yet: {told}"


def test_an_account_that_may_do_everything_everywhere_is_no_repair(reports: Api) -> None:
    bash(f"kubectl create clusterrolebinding k8s101-test-wide --clusterrole=view --serviceaccount={REPORTS}:reports")
    try:
        line = last_line(reports, "reports")
    finally:
        bash("kubectl delete clusterrolebinding k8s101-test-wide")
    assert line == "✗ not yet: reports may now list the Pods of other namespaces, too"


def test_accounts_are_named_as_the_api_server_names_them() -> None:
    assert account("reports", REPORTS) == f"system:serviceaccount:{REPORTS}:reports"
