"""The plan of `nst upscale`: of its pictures and of its films."""

from __future__ import annotations

from jobs.applying.upscale import parts_of
from jobs.planning.films import plan_films
from jobs.planning.pictures import plan_pictures
from jobs.planning.report import EnlargementsPlan, PicturesPlan
from jobs.specs.applying import Upscale
from pipeline.work.progress import OnProgress, ignore_progress


def plan_enlargements(job: Upscale, on_progress: OnProgress = ignore_progress) -> EnlargementsPlan:
    """Find out what `nst upscale` would do; nothing is written but caches.

    Raises InputError or EnvironmentProblem where the job as a whole could not start.
    """
    pictures, videos, unseen = parts_of(job)
    plan = EnlargementsPlan()
    if pictures:
        plan.images = plan_pictures(pictures, on_progress)
    if unseen:
        images = plan.images = plan.images or PicturesPlan(output=job.output)
        images.total += len(unseen)
        images.failed += len(unseen)
        images.failures += [{"path": each.path, "error": str(each.problem)} for each in unseen]
    if videos:
        plan.videos = plan_films([videos], on_progress)
    plan.seconds = round(sum(part.seconds for part in plan.parts), 1)
    plan.seconds_to_start = round(sum(part.seconds_to_start for part in plan.parts), 1)
    return plan
