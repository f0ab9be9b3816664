"""What goes wrong with checkpoint files."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read safely, or does not fit the model."""
