"""Films and pictures, from files to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.specs.applying import StylizeImages, StylizeVideo
from jobs.specs.preview import Preview
from nst._keywords import by_keywords
from nst_core.errors import InputError, MediaError
from pipeline.work.progress import OnProgress, ignore_progress

if TYPE_CHECKING:
    from jobs.preview.preview import PreviewReport
    from pipeline.films.report import StylizeVideoReport
    from pipeline.pictures.report import StylizeImagesReport

_NOT_ASKED = "command match_histogram mark"


@by_keywords("inputs output", each="style", without=f"{_NOT_ASKED} input_format output_format")
def stylize_video(
    in_styles: tuple[StylizeVideo, ...], *, on_progress: OnProgress = ignore_progress
) -> StylizeVideoReport:
    """Stylize films, as `nst stylize video` does; several styles give an output each.

    Films that fail are told in their part of the report, and the rest goes on. Raises MediaError
    where all of them fail, InputError and EnvironmentProblem where nothing can start.
    """
    from jobs.applying.needs_ray import ray_ahead, videos_need_ray

    if not in_styles:
        raise InputError("no style: name at least one with --style")

    with ray_ahead(needed=videos_need_ray(in_styles[0])):
        from jobs.applying.stylize_video import stylize_in_styles

        report = stylize_in_styles(in_styles, on_progress)
    errors = [one.error for one in report.inputs if one.error]
    if errors and len(errors) == len(report.inputs):
        raise MediaError(errors[0])
    return report


@by_keywords("sources output", each="style", without=_NOT_ASKED)
def stylize_images(
    job: StylizeImages, *, on_progress: OnProgress = ignore_progress
) -> StylizeImagesReport:
    """Stylize pictures into a folder, or a bucket, as `nst stylize images` does.

    Pictures that fail are named in the report, and the rest goes on. Raises MediaError where all
    of them fail, InputError and EnvironmentProblem where nothing can start.
    """
    from jobs.applying.needs_ray import images_need_ray, ray_ahead

    with ray_ahead(needed=images_need_ray(job)):
        from jobs.applying.stylize_images import stylize_images as run

        report = run(job, on_progress)
    if report.failures and report.failed == report.total:
        first = report.failures[0]
        raise MediaError(f"{first['path']}: {first['error']}")
    return report


@by_keywords("inputs output")
def preview(job: Preview, *, on_progress: OnProgress = ignore_progress) -> PreviewReport:
    """Show frames of films, and pictures, in many styles: a sheet or a page, as `nst preview` does.

    Raises InputError or EnvironmentProblem where nothing at all can be shown.
    """
    from jobs.preview.preview import preview as run

    return run(job, on_progress)
