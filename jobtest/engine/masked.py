"""Events without secrets: what is decided, kept and told never had them."""

from __future__ import annotations

from dataclasses import replace

from jobtest.config.secrets import Secrets
from jobtest.core.events import Event, JobEnded, PhaseEnded, RunStopped
from jobtest.core.model import Failure

__all__ = ["masked_event", "masked_failure"]


def masked_event(event: Event, secrets: Secrets) -> Event:
    """Return an event with what the user's code said in it masked."""
    if not secrets:
        return event
    mask = secrets.mask
    match event:
        case PhaseEnded():
            return replace(
                event,
                failure=masked_failure(event.failure, secrets) if event.failure is not None else None,
                stdout=mask(event.stdout),
                stderr=mask(event.stderr),
                log=mask(event.log),
                notes=tuple(map(mask, event.notes)),
            )
        case JobEnded():
            return replace(event, reason=mask(event.reason), notes=tuple(map(mask, event.notes)))
        case RunStopped():
            return replace(event, reason=mask(event.reason))
        case _:
            return event


def masked_failure(failure: Failure, secrets: Secrets) -> Failure:
    """Return a failure without secrets; a type may be made while the job runs, with any name."""
    if not secrets:
        return failure
    mask = secrets.mask
    return replace(
        failure,
        message=mask(failure.message),
        type=mask(failure.type),
        text=mask(failure.text),
        types=tuple(map(mask, failure.types)),
    )
