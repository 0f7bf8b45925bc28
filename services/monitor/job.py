"""Retraining by a Kubernetes Job, made from the template of the trainer's CronJob."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import urllib3.exceptions
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from services.common.errors import ServiceError, SettingsError, Unavailable
from services.monitor.retraining import Asked, Outcome

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
TIMEOUT_S = 10
CONFLICT, NOT_FOUND = 409, 404
PASSING = frozenset({401, 408, 429})
"""Refusals that do not last: a token that is being renewed, too slow, too many at once."""
NAME_LENGTH = 42
"""Of the CronJob's name, what is left beside the rest of a Job's 63 characters."""
BY_HAND = "cronjob.kubernetes.io/instantiate"
REASON = "spy-smile/reason"
SOURCE = "--source"


class JobLauncher:
    """Makes Jobs by a `BatchV1Api`; they go on without the monitor."""

    name: Literal["process", "job"] = "job"

    def __init__(self, api: Any, namespace: str, cronjob: str, timeout_s: float) -> None:
        self._api, self._namespace, self._cronjob = api, namespace, cronjob
        self._timeout_s = timeout_s

    def start(self, asked: Asked, requested_at: datetime) -> str:
        """Make the Job; one of the same request that is there already will do."""
        with _spoken(f"the CronJob {self._cronjob}"):
            template = self._api.read_namespaced_cron_job(
                self._cronjob, self._namespace, _request_timeout=TIMEOUT_S)
        made = job(template, requested_at, asked, self._timeout_s)
        name = str(made.metadata.name)
        with _spoken(f"the Job {name}"):
            try:
                self._api.create_namespaced_job(self._namespace, made,
                                                _request_timeout=TIMEOUT_S)
            except ApiException as error:
                if error.status != CONFLICT:
                    raise
        return name

    def look(self, job: str) -> Outcome:
        """What the Job's conditions say; one that is gone is unknown."""
        with _spoken(f"the Job {job}"):
            try:
                found = self._api.read_namespaced_job(job, self._namespace,
                                                      _request_timeout=TIMEOUT_S)
            except ApiException as error:
                if error.status != NOT_FOUND:
                    raise
                return Outcome("unknown")
        for condition in found.status.conditions or ():
            if condition.status == "True" and condition.type in ("Complete", "Failed"):
                done = condition.type == "Complete"
                return Outcome("succeeded" if done else "failed", condition.message or "")
        return Outcome("running")

    def stop(self, job: str) -> None:
        """Nothing to do: the Job has its own deadline."""

    def close(self) -> None:
        """Nothing to do: Jobs go on."""


def job(cronjob: Any, requested_at: datetime, asked: Asked, timeout_s: float) -> Any:
    """A Job (V1Job) of a CronJob's template, as `kubectl create job --from` makes it.

    It is owned by the CronJob, whose history limits clear it away. Its name is of the request,
    so that the same request never makes two. The trainer is told which source to learn from,
    unless the template tells it.
    """
    template, owner = cronjob.spec.job_template, cronjob.metadata
    spec = template.spec
    if spec.active_deadline_seconds is None:
        spec.active_deadline_seconds = int(timeout_s)
    trainer = spec.template.spec.containers[0]
    if not any(word.startswith(SOURCE) for word in trainer.args or ()):
        trainer.args = [*(trainer.args or ()), f"{SOURCE}={asked.source}"]
    meta = template.metadata or client.V1ObjectMeta()
    name = f"{owner.name[:NAME_LENGTH].rstrip('-.')}-drift-{int(requested_at.timestamp())}"
    return client.V1Job(
        api_version="batch/v1", kind="Job", spec=spec,
        metadata=client.V1ObjectMeta(
            name=name, labels=meta.labels,
            annotations={**(meta.annotations or {}), BY_HAND: "manual", REASON: asked.reason},
            owner_references=[client.V1OwnerReference(
                api_version="batch/v1", kind="CronJob", name=owner.name, uid=owner.uid,
                controller=True)]))


def connect(namespace: str, cronjob: str, timeout_s: float) -> JobLauncher:
    """A launcher on the pod's own cluster, or the one that KUBECONFIG names.

    Raises:
        SettingsError: there is no cluster, or no namespace.
    """
    _load_config()
    own = OWN_NAMESPACE.read_text(encoding="utf-8").strip() if OWN_NAMESPACE.exists() else ""
    if not (namespace or own):
        raise SettingsError("SMILE_RETRAIN is job, but SMILE_RETRAIN_NAMESPACE is not set, and "
                            "this is no pod that has a namespace of its own")
    return JobLauncher(client.BatchV1Api(), namespace or own, cronjob, timeout_s)


def _load_config() -> None:
    try:
        config.load_incluster_config()  # type: ignore[no-untyped-call]
        return
    except config.ConfigException:
        pod = "this is no pod"
    try:
        config.load_kube_config()  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise SettingsError(f"SMILE_RETRAIN is job, but no cluster is to be found: {pod}, and "
                            f"KUBECONFIG is of no use: {error}") from error


@contextmanager
def _spoken(what: str) -> Iterator[None]:
    """The cluster's errors in our own words."""
    try:
        yield
    except ApiException as error:
        if 400 <= (error.status or 0) < 500 and error.status not in PASSING:
            raise ServiceError(f"{what}: the cluster refuses, {error.status} {error.reason}") \
                from error
        raise Unavailable(f"{what}: the cluster does not answer: "
                          f"{error.status} {error.reason}") from error
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"{what}: the cluster can't be reached: {error}") from error
