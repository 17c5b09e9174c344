"""The settings of an export. No torch here."""

from dataclasses import dataclass

from supernet.errors import UserError
from supernet.settings import check_settings, setting

FORMATS = ("program", "onnx", "safetensors")
"""A `torch.export` program, ONNX, and the weights in the form of the hub with a model card."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Which network is written, in which formats, and where to."""

    model: str | None = setting(None, none="none")
    """model.pt of a training, or its folder."""
    formats: tuple[str, ...] | None = setting(
        None, choices=FORMATS, none="program,onnx,safetensors, without onnx where its packages are "
        "not installed",
    )  # fmt: skip
    """Formats to write."""
    license: str | None = setting(None, hint="apache-2.0", none="unknown")
    """Licence of the weights for the model card, by the hub's name for it, for instance
    apache-2.0."""
    out: str | None = setting(None)
    """Folder to write to. Automatic is export/ next to the model."""

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.model:
            raise UserError("no network was named; give --model runs/NAME/standalone")
        if self.formats is not None and not self.formats:
            raise UserError(f"--formats is empty; name some of {', '.join(FORMATS)}")
