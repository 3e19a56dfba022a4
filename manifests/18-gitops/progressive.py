"""Deliver a release step by step, by commits: python3 progressive.py RELEASE."""

import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

FILE, CANARY = Path("shop/deploy/canary.yaml"), "http://localhost:8418/api/v1/namespaces/k8s101-gitops/services/canary"


def run(command):
    """Run a command of the shell and return what it prints."""
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout.strip()


def commit(message, release, pods):
    """Commit so many Pods of a release, and wait until the commit is in force."""
    text = re.sub(r"hello:[\d.]+", f"hello:{release}", FILE.read_text())
    FILE.write_text(re.sub(r"replicas: \d+", f"replicas: {pods}", text))
    run(f"cd shop && git commit -qam '{message}' && git push -q")
    head = run("git -C shop rev-parse HEAD")
    wanted = "jsonpath={.status.lastAppliedRevision}=main@sha1:" + head
    run(f"kubectl wait kustomization/shop --timeout=60s --for='{wanted}'")


def failed():
    """Ask a Pod of the release; tell whether it answers with an error."""
    try:
        urllib.request.urlopen(f"{CANARY}:8000/proxy/").read()
    except urllib.error.HTTPError:
        return True
    return False


release = sys.argv[1]
for step in (1, 2):
    commit(f"{release}, step {step} of 2", release, pods=step)
    share = sum(failed() for _ in range(20)) / 20
    print(f"{release}, step {step} of 2: {share:.0%} of the answers are errors", flush=True)
    if share > 0.05:
        commit(f"{release}, aborted", release, pods=0)
        sys.exit(f"{release}, aborted: no Pod of it should run")
