"""Module 02, Objects and the API: what later modules recall of it."""

from __future__ import annotations

from k8s101.lesson.bank import Question

QUESTIONS = (
    Question(
        "selector",
        "What ties a Service to its Pods?",
        {
            "the name of the Deployment": "A Service knows nothing of Deployments.",
            "a selector that matches the Pods' labels": "any Pod that bears the labels belongs to it",
            "a list of Pod names in the Service": "Names change with every Pod; nobody could keep such a list.",
        },
        "a selector that matches the Pods' labels",
    ),
)
