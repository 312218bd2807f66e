"""The errors that a user can cause, and the one class that the command line catches.

NstError
├── InputError                 what was given cannot be used
│   ├── CheckpointError        a checkpoint file is damaged or of a foreign kind
│   │   └── StyleNotFitted     a picture where a style is needed, and none was fitted to it yet
│   ├── MediaError             a picture or video cannot be read, or cannot be written as asked
│   └── LossNetworkError       weights of the loss network are missing or do not fit
├── EnvironmentProblem         this machine or cluster lacks something
├── TrainingFailed             training stopped before its last step
│   └── TrainingDiverged       the objective is no number, or as high as at the start again
└── VerificationError          an output, read again, is not what it should be
"""

from __future__ import annotations


class NstError(Exception):
    """Base of all errors with a message for the user: what came, what is allowed, what to try."""


class InputError(NstError):
    """What was given cannot be used."""


class CheckpointError(InputError):
    """A checkpoint file is damaged or of a foreign kind."""


class StyleNotFitted(CheckpointError):  # noqa: N818
    """A picture where a style is needed, and no style was fitted to it yet."""


class MediaError(InputError):
    """A picture or video cannot be read, or cannot be written as asked."""


class LossNetworkError(InputError):
    """Weights of the loss network are missing or do not fit."""


class EnvironmentProblem(NstError):  # noqa: N818 - "problem" says it: nobody's input is wrong
    """This machine or cluster lacks something."""


class TrainingFailed(NstError):  # noqa: N818
    """Training stopped before its last step."""


class TrainingDiverged(TrainingFailed):
    """The objective is no number, or as high as at the start again."""


class VerificationError(NstError):
    """An output, read again, is not what it should be."""
