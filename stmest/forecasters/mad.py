"""MAD as a forecaster: parameters, sizes, network and unfreezing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sklearn.utils._param_validation import StrOptions

from ..exceptions import ParameterError
from ..graphs import Graph
from ..layers.norms import FIELD_NORMS
from ..networks.mad import FUSIONS, MADNetwork
from ..networks.mad_prediction import PREDICTIONS
from ..networks.mad_reconstruction import DIRECTIONS, RECONSTRUCTIONS
from ..prediction.predictor import Predictor
from ..training.callbacks import Unfreeze
from .network import NetworkForecaster
from .parameters import TrainingParameters, describe, real, whole
from .published import AsPublished, Setting, published
from .registry import register
from .scan import SCAN_BACKENDS

__all__ = ["SIZES", "MADForecaster", "MADParameters"]

# "paper" is the network of the public program. Saved models name their size and not these numbers, which therefore must not
# change.
SIZES: dict[str, dict[str, Any]] = {
    "small": {
        "width": 16, "d_model": 64, "n_layers": 2, "n_heads": 2, "d_state": 8,
        "strides": (2, 2), "mlp_ratio": 4, "hidden": 32, "kernels": (3, 5),
    },
    "paper": {
        "width": 32, "d_model": 256, "n_layers": 12, "n_heads": 2, "d_state": 32,
        "strides": (1, 2, 1, 2), "mlp_ratio": 4, "hidden": 64, "kernels": (3, 5, 7, 11),
    },
}  # fmt: skip


@dataclass(kw_only=True, eq=False, repr=False)
class MADParameters(TrainingParameters):
    """Parameters of MAD beside those of every network."""

    input_length: int = 12
    size: str = "small"
    reconstruction: str = "mamba"
    prediction: str = "dit"
    step_embedding: bool = False
    fusion: str = "sum"
    fusion_weight: float = 0.1
    norm: str = "group"
    directions: str = "sum"
    lambda_rec: float = 1.0
    lambda_pred: float = 1.0
    width: int | None = None
    d_model: int | None = None
    n_layers: int | None = None
    n_heads: int | None = None
    d_state: int | None = None
    unfreeze_every: int = 0
    scan_backend: str = "auto"
    batch_size: int = 16
    loss: str = "mse"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainingParameters._parameter_constraints,
        "size": [StrOptions(set(SIZES))],
        "reconstruction": [StrOptions(set(RECONSTRUCTIONS))],
        "prediction": [StrOptions(set(PREDICTIONS))],
        "step_embedding": ["boolean"],
        "fusion": [StrOptions(set(FUSIONS))],
        "fusion_weight": [real(0)],
        "norm": [StrOptions(set(FIELD_NORMS))],
        "directions": [StrOptions(set(DIRECTIONS))],
        "lambda_rec": [real(0)],
        "lambda_pred": [real(0, closed="neither")],
        "width": [whole(1), None],
        "d_model": [whole(4), None],
        "n_layers": [whole(1, 1000), None],
        "n_heads": [whole(1), None],
        "d_state": [whole(1), None],
        "unfreeze_every": [whole(0)],
        "scan_backend": SCAN_BACKENDS,
    }


@register(
    tiny={
        "input_length": 4,
        "horizon": 2,
        "width": 2,
        "d_model": 4,
        "n_layers": 1,
        "n_heads": 1,
        "d_state": 2,
        "max_epochs": 1,
        "batch_size": 32,
        "random_state": 0,
    },
    commands={"mad": {"text": "reconstruction by Mamba, prediction by a transformer; fields and nodes"}},
)
@published(
    "The settings of Zeng et al., Knowledge-Based Systems 2025; the sizes, which the paper does not give, are those of the "
    "public program.",
    {
        "input_length": Setting(10, "program, 10 frames in and 10 out on Navier-Stokes"),
        "horizon": Setting(10, "as above"),
        "size": Setting("paper", "program"),
        "reconstruction": Setting("mamba", "section 3.4"),
        "prediction": Setting("dit", "section 3.5.2"),
        "step_embedding": Setting(True, "section 3.5.1, equations 12 and 13, and 20 for one step at a time"),
        "fusion": Setting("mean", "table 5, coefficients alpha and 1 - alpha"),
        "fusion_weight": Setting(0.1, "table 5, the best"),
        "norm": Setting("batch", "section 3.4.1, batch or layer normalisation"),
        "directions": Setting("concat", "section 3.4.3, equations 9 and 10"),
        "lambda_rec": Setting(1.0, "section 3.7, both losses; their weights are equal in the text"),
        "lambda_pred": Setting(1.0, "as above"),
        "seasonal_profile": Setting(None, "no seasonal mean"),
        "linear_skip": Setting(False, "no linear forecast"),
        "time_features": Setting(None, "the paper has no calendar"),
        "loss": Setting("mse", "section 3.7, mean squared errors"),
        "node_weights": Setting("equal", "section 3.7, every pixel counts the same"),
        "learning_rate": Setting(1e-4, "section 4.1, with Adam"),
        "weight_decay": Setting(0.0, "section 4.1, Adam"),
        "lr_schedule": Setting("cosine", "section 3.6, a dynamic learning rate; which is not said"),
        "grad_clip": Setting(None, "the paper names none"),
        "batch_size": Setting(16, "section 4.1"),
        "max_epochs": Setting(100, "section 4.1"),
        "patience": Setting(None, "section 4.1, all epochs; the last weights are kept"),
    },
    [
        "Blocks have a value matrix, and residuals and adaptive norms at both branches, as diffusion transformers do.",
        (
            "Reconstruction and forecast have decoders of their own, and alpha weighs latents: the paper writes one "
            "decoder and does not say where alpha stands."
        ),
        "The network forecasts the residual of the last frame.",
        "Nothing is frozen: section 3.6 does not say which layers are, or for how long; `unfreeze_every` can do it.",
        "Latents are made of single frames, and time is an axis of channels of a token, as in the program.",
    ],
)
@describe
class MADForecaster(MADParameters, AsPublished, NetworkForecaster):
    """Fields reconstructed by Mamba and predicted by a transformer with adaLN-Zero conditioning ("diffusion transformer").

    An array of three axes is a field, (n_times, n_y, n_x); nodes with several features come with names, as DataFrame
    or DataArray. For nodes the convolutions become linear maps or, with `adj`, graph convolutions.

    Parameters
    ----------
    {window_parameters}
    size : {"small", "paper"}, default="small"
        Sizes of the network: one that trains on a CPU in minutes, or those of the public program, 12 layers of width 256, for a
        GPU; `as_published` trains it as the paper does. The five parameters from `width` on take precedence.
    reconstruction : {"mamba", "conv", "unet"}, default="mamba"
        Network that refines the latents of the reconstruction: Mamba over the pixels in both directions, between convolutions;
        the convolutions alone; or a small U-Net.
    prediction : {"dit", "vit", "swin", "earthformer", "convlstm"}, default="dit"
        Network that predicts: the conditioned transformer, a plain one, one with shifted windows (Swin), one with attention along
        time, rows and columns in turn (Earthformer), or a convolutional LSTM. The last three need a grid.
    step_embedding : bool, default=False
        Whether every step ahead is predicted on its own, by the same network, which is conditioned on an embedding of the step.
        The prediction then takes `horizon` times as long.
    fusion : {"sum", "mean"}, default="sum"
        How the reconstruction's latents join those of the prediction: added with a weight that starts at `fusion_weight` and is
        learned, or in a mean with the fixed weights `fusion_weight` and ``1 - fusion_weight``.
    fusion_weight : float, default=0.1
        Weight of the reconstruction's latents, at most 1 in a mean. 0: no reconstruction.
    norm : {"batch", "layer", "group"}, default="group"
        Norm after the convolutions on a grid: of each channel over the frames of the batch, of each frame over all channels, or
        over each half of them. With ``"batch"`` the norm in front of Mamba is one over the batch too.
    directions : {"sum", "concat"}, default="sum"
        Whether the outputs of the two directions of Mamba are added, or put side by side and mapped by a linear layer.
    lambda_rec, lambda_pred : float, default=1.0
        Weights of the mean squared error of the reconstruction and of the forecast loss; only their ratio counts.
    width : int or None, default=None
        Channels of a frame's latents.
    d_model, n_layers, n_heads : int or None, default=None
        Transformer: width, a multiple of 4 and of `n_heads`; blocks; attention heads.
    d_state : int or None, default=None
        States of each Mamba channel.
    unfreeze_every : int, default=0
        Epochs after which the next part is unfrozen, from the output to the input: the decoder learns from the start, the
        predictor so many epochs later, encoders and reconstruction again so many later. 0: all parts learn from the start.
    {scan_parameters}
    {training_parameters}

    Attributes
    ----------
    grid_shape_ : tuple of int or None
        Rows and columns of the field; None for nodes.
    {training_attributes}

    See Also
    --------
    stmest.STMambaForecaster : For nodes with a graph.
    stmest.LastValue : Persistence.

    Notes
    -----
    Zeng, Li, Niu, Yang, Wen, Knowledge-Based Systems 2025 (doi 10.1016/j.knosys.2025.113347). The public
    program discards the result of the Mamba branch; here the forecast uses it too. `as_published` has the settings of the paper;
    `stmest/networks/mad.py` lists the equations, and where this implementation differs and why. The column
    ``train_reconstruction`` of `history_` is the loss of the reconstruction. A graph is not used where there is a grid.

    Examples
    --------
    >>> import numpy as np
    >>> from stmest import MADForecaster
    >>> t, y, x = np.ogrid[:60, :6, :9]
    >>> wave = np.sin(0.5 * t + 0.7 * y + 0.4 * x)
    >>> model = MADForecaster(input_length=4, horizon=3, max_epochs=1, random_state=0).fit(wave)
    >>> model.predict().shape
    (3, 6, 9)
    >>> model.predict(wave, steps=7).shape
    (7, 6, 9)
    """

    _network_class = MADNetwork
    _reads_fields = True

    def _check_parameters(self) -> None:
        super()._check_parameters()
        sizes = self._architecture()
        if sizes["d_model"] % sizes["n_heads"] or sizes["d_model"] % 4:
            raise ParameterError(
                f"d_model={sizes['d_model']} must be a multiple of 4 and of n_heads={sizes['n_heads']}."
            )
        if self.fusion == "mean" and self.fusion_weight > 1:
            raise ParameterError(
                f"fusion_weight={self.fusion_weight} is no weight in a mean; needed: 0 to 1, or fusion='sum'."
            )

    def _architecture(self) -> dict[str, Any]:
        """Sizes of the network: those of `size`, unless a parameter says otherwise."""
        preset = SIZES[self.size]
        own = {name: getattr(self, name, None) for name in preset}
        return {name: preset[name] if value is None else value for name, value in own.items()}

    def _network_settings(self, predictor: Predictor, graph: Graph | None) -> dict[str, Any]:
        grid = predictor.spec.grid
        settings = super()._network_settings(predictor, graph if grid is None else None)
        data = {"grid_shape": grid, "n_features": predictor.spec.n_features}
        return settings | self._architecture() | data

    def _loss_weights(self) -> dict[str, float]:
        return {"reconstruction": self.lambda_rec / self.lambda_pred} if self.fusion_weight else {}

    def _more_callbacks(self, network: Any) -> list[tuple[str, Any]]:
        if not self.unfreeze_every or self._continues():
            return []
        return [("unfreeze", Unfreeze(network.stages(), self.unfreeze_every))]
