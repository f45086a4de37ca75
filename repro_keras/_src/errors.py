"""The `ReproError` family: every error says what was expected, what came, and what to do."""


class ReproError(Exception):
    """The base of every error that repro_keras raises on purpose."""


class ConfigError(ReproError, ValueError):
    """A setting has a value that it cannot have."""


class StageError(ReproError, RuntimeError):
    """A setting came too late: something that reads it only once has already read it."""


class SeamError(ReproError, ImportError):
    """The installed Keras is not one whose seam is known."""


class ScopeError(ReproError, RuntimeError):
    """A `repro.scope` is used in a way that it cannot work."""


class SeedNameError(ReproError, ValueError):
    """A text is not a name by the grammar in docs/bits.md."""


class CanonicalError(ReproError, TypeError):
    """A value has no canonical form, so that it cannot be digested or written canonically."""


class DataError(ReproError, RuntimeError):
    """The data for training could not be loaded as it has to be."""


class _FileError(ReproError, OSError):
    """An error of the system's about a file, with its number where it has one."""

    def __init__(self, message: str, number: int | None = None):
        super().__init__(message)
        self.errno = number


class SaveError(_FileError):
    """A file could not be written; what was there before is untouched."""


class FileFormatError(_FileError, ValueError):
    """A file cannot be read, or is not what its name says."""


class MissingExtraError(ReproError, ImportError):
    """An optional package is not installed."""


class RecordError(_FileError, ValueError):
    """A record of a run cannot be read, was changed, or is not one that this version knows."""


class ExportError(_FileError, ValueError):
    """A run cannot be exported, or an export cannot be read, was changed, or is not signed."""


class StateError(ReproError, RuntimeError):
    """Training cannot be resumed, or could not be resumed exactly."""


class RunError(ReproError, RuntimeError):
    """A run cannot be started, recorded or repeated."""


class CellError(RunError):
    """A cell of a notebook failed; `error` is what it raised."""

    def __init__(self, message: str, error: BaseException):
        super().__init__(message)
        self.error = error


class NotPortableError(ReproError, RuntimeError):
    """Something has no form that comes to the same bits on every make of CPU."""


class NotCoveredError(RunError):
    """The guarantee does not cover this machine or software; `reasons` says what is another."""

    def __init__(self, message: str, reasons: list[str]):
        super().__init__(message)
        self.reasons = reasons


class ScriptError(_FileError, ValueError):
    """A script cannot be read, or is no Python."""


class GuardError(ReproError, RuntimeError):
    """The user's code draws what no seed repeats, and `guard="error"` asks for an error then."""


class ReproWarning(UserWarning):
    """Something that makes results less repeatable than they could be."""
