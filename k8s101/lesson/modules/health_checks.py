"""Module 04, Health checks: what later modules recall of it."""

from __future__ import annotations

from k8s101.lesson.bank import Question

QUESTIONS = (
    Question(
        "endpoints",
        "A Pod's readiness probe fails. What happens to it?",
        {
            "it is restarted": "That is what a failing liveness probe does.",
            "it leaves the endpoints of its Services": "it gets no requests until the probe passes again",
            "it is deleted and replaced": "A Pod that is not ready still counts as running.",
        },
        "it leaves the endpoints of its Services",
    ),
)
