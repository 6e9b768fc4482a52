"""MAD: fields reconstructed by Mamba, predicted by a transformer with adaLN-Zero conditioning.

Zeng, Li, Niu, Yang, Wen, Knowledge-Based Systems 2025 (doi 10.1016/j.knosys.2025.113347), equations 1 to 24. Builds on
``mad_space`` (encoders and decoders), ``mad_reconstruction`` and ``mad_prediction``.

====================  =====================================================================
paper                 here
====================  =====================================================================
X, Y                  windows (b, t, n, f), targets (b, h, n, f)
E_pred, D             ``space.encode``, ``space.decode``
E_rec, bi-SSM, D      ``reconstruction``, refined by `BidirectionalMamba`
T(t)                  ``condition``: a learned vector and the calendar of the origin
L blocks, AdaLN       ``trunk``: `DiffusionTransformer` over the tokens of all input frames
lambda_rec            weight of the auxiliary loss ``"reconstruction"``
alpha                 ``fusion_weight``, learned from its given start, unless ``fusion="mean"``
====================  =====================================================================

::

    r = refine(E_rec(X));  X_rec = D_rec(r)                 auxiliary loss: mean squared error of X_rec
    z = E_pred(X) + alpha * project(r)                      frame by frame; tokens are patches of pixels
    Y = last frame + D(trunk(z, condition), skip)

There is no diffusion: no noise, no sampling; one deterministic pass, or one for each step with ``step_embedding``. Time is an
axis of channels for the trunk, except for that of ``prediction="earthformer"``.

Where we differ, and why
------------------------
- *The Mamba branch is used.* The public program computes its result and discards it. Here the reconstruction is
  decoded from it and from nothing else, and the forecast uses it through ``alpha * project(r)``.
- *The block has the value matrix and residuals* that equations of the paper leave out; adaLN sits in every block.
- *The condition* is the calendar of the forecast's origin, with the holidays of the target steps, and a learned vector. In
  the program it is one random integer, which is made at construction and not saved.
- *Any horizon*: the last linear map of the trunk makes h frames of t, the skip joins by a learned map over time that
  starts from the last frame. The program needs as many output as input steps.
- *The network forecasts the residual of the last frame* and starts with 0, since the decoder's last map is zero at first.
- *Group norm* in both encoders: batch statistics would let training depend on the other windows of a batch (``norm``).
- *Directions* of Mamba are added (``directions``), as is the reconstruction (``fusion``); the paper puts the first side by side,
  and weighs the second by alpha and 1 - alpha.
- *Any grid*: padded to the stride by its edge, cropped at the end.
- *Nodes* (no grid): the paper states the problem for them and shows none. Linear or graph-convolutional encoders, nodes
  as tokens with learned positions, Mamba over the steps of each node.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..exceptions import ParameterError
from ..layers.channels import select_channels
from ..layers.graph_conv import transition_matrices
from .base import ForecastNetwork, check_adjacency, check_grid
from .mad_prediction import Condition, StepwiseTrunk, make_trunk
from .mad_reconstruction import GridReconstruction, NodeReconstruction
from .mad_space import GridSpace, NodeSpace

__all__ = ["FUSIONS", "MADNetwork"]

FUSIONS = ("sum", "mean")


class MADNetwork(ForecastNetwork):
    """Forecaster of a field or of nodes; see the module's head for the architecture.

    Parameters
    ----------
    grid_shape : tuple of int or None
        Rows and columns whose product is `n_nodes`; None: nodes without a grid.
    adjacency : Tensor of shape (n, n) or None
        Graph for nodes without a grid: [i, j] is the weight of edge i -> j.
    n_features : int
        Channels to reconstruct, the first ones; if `n_inputs` is twice as many, the others are their
        observation masks.
    target_channels : sequence of int
        Input channels that are forecast.
    reconstruction : {"mamba", "conv", "unet"}
    prediction : {"dit", "vit", "swin", "earthformer", "convlstm"}
    step_embedding : bool
        Whether each step ahead is predicted on its own, conditioned on its number.
    fusion : {"sum", "mean"}
        ``z + alpha * r`` with an alpha that is learned, or ``(1 - alpha) * z + alpha * r`` with one that is not.
    fusion_weight : float
        Alpha, or its start; 0: no reconstruction.
    norm : {"batch", "layer", "group"}
        Of the convolutions on a grid, and in front of Mamba.
    directions : {"sum", "concat"}
        How the two directions of Mamba are joined.
    width : int
        Channels of a frame's latents.
    strides : sequence of int
        1 or 2, of the blocks of the prediction's encoder, on a grid. The product is the number of rows and columns
        of a token's patch; the reconstruction works at the resolution after the first 2.
    d_model, n_layers, n_heads, mlp_ratio : int
        Trunk. For ``"convlstm"`` only `n_layers` counts, as the number of cells.
    hidden, d_state : int
        Width of the refinement, states of its Mamba.
    kernels : sequence of int
        Of the refinement's convolutions.
    scan_backend : str
        As in `stmest.ops.selective_scan`.
    **sizes : int
        As `stmest.networks.base.ForecastNetwork`.
    """

    def __init__(
        self,
        *,
        grid_shape: tuple[int, int] | None,
        adjacency: Tensor | None,
        n_features: int,
        target_channels: Sequence[int],
        reconstruction: str,
        prediction: str,
        step_embedding: bool,
        fusion: str,
        fusion_weight: float,
        norm: str,
        directions: str,
        width: int,
        strides: Sequence[int],
        d_model: int,
        n_layers: int,
        n_heads: int,
        mlp_ratio: int,
        hidden: int,
        d_state: int,
        kernels: Sequence[int],
        scan_backend: str,
        **sizes: int,
    ) -> None:
        super().__init__(**sizes)
        check_adjacency(adjacency, self.n_nodes)
        n_nodes, n_inputs, input_length, horizon = (
            self.n_nodes,
            self.n_inputs,
            self.input_length,
            self.horizon,
        )
        self.n_features, self.target_channels = n_features, list(target_channels)
        self.correct_last = True
        ends = (n_inputs, self.n_outputs, input_length, horizon, width)
        self.space: GridSpace | NodeSpace
        if grid_shape is None:
            self.space = NodeSpace(*ends, n_nodes, adjacency)
        else:
            self.space = GridSpace(*ends, check_grid(grid_shape, n_nodes), strides, norm)
        self.condition = Condition(self.n_origin_features, d_model)
        steps = 1 if step_embedding else horizon
        trunk = make_trunk(
            prediction, self.space, input_length, steps, width, d_model, n_layers, n_heads, mlp_ratio
        )
        self.trunk = StepwiseTrunk(trunk, horizon, d_model) if step_embedding else trunk
        self.reconstruction: GridReconstruction | NodeReconstruction | None = None
        self.fusion = fusion
        if fusion_weight == 0:
            return
        alpha = torch.tensor(float(fusion_weight))
        self.fusion_weight = nn.Parameter(alpha, requires_grad=fusion == "sum")
        if grid_shape is None:
            walks = None if adjacency is None else transition_matrices(adjacency)
            self.reconstruction = NodeReconstruction(
                reconstruction,
                n_inputs,
                self.n_features,
                width,
                hidden,
                d_state,
                norm,
                directions,
                walks,
                scan_backend,
            )
        else:
            self.reconstruction = GridReconstruction(
                reconstruction, n_inputs, self.n_features, input_length, width, strides,
                hidden, d_state, kernels, norm, directions, scan_backend,
            )  # fmt: skip

    def forward(
        self, x: Tensor, time: Tensor | None = None, ahead: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forecast; see `ForecastNetwork.forward`.

        The auxiliary loss, where there is a reconstruction, is its mean squared error over the observed inputs.
        """
        frames = self.space.open(x)
        z, skip = self.space.encode(frames)
        auxiliary = {}
        if self.reconstruction is not None:
            refined = self.reconstruction(frames)
            kept = 1.0 if self.fusion == "sum" else 1.0 - self.fusion_weight
            z = kept * z + self.fusion_weight * self.reconstruction.project(refined)
            if self.training:
                auxiliary["reconstruction"] = self._reconstruction_error(refined, x)
        origin = None if time is None else self.origin(time)
        forecast = self.space.decode(self.trunk(z, self.condition(origin, len(x))), skip)
        if self.correct_last:
            forecast = forecast + select_channels(x[:, -1:], self.target_channels)
        return forecast, auxiliary

    def _reconstruction_error(self, refined: Tensor, x: Tensor) -> Tensor:
        error = (self._reconstructed(refined) - x[..., : self.n_features]).square()
        if x.shape[-1] < 2 * self.n_features:
            return error.mean()
        observed = x[..., self.n_features : 2 * self.n_features]
        return (error * observed).sum() / observed.sum().clamp(min=1.0)

    def _reconstructed(self, refined: Tensor) -> Tensor:
        """Input (b, t, n, n_features) as decoded from refined latents."""
        return self.space.close(self.reconstruction.decode(refined))  # type: ignore[union-attr]

    def reconstruct(self, x: Tensor) -> Tensor:
        """Reconstruct windows x (b, t, n, f_in): (b, t, n, n_features)."""
        if self.reconstruction is None:
            raise ParameterError("the network has no reconstruction (fusion_weight=0).")
        return self._reconstructed(self.reconstruction(self.space.open(x)))

    def start_at_zero(self) -> None:
        """Forecast the residual of another forecast than the last frame: start with 0 everywhere."""
        self.correct_last = False

    def stages(self) -> list[list[nn.Parameter]]:
        """All parameters in three groups, from the output to the input: decoder, trunk, encoders with reconstruction."""
        top = [self.space.skip_over_time, *self.space.decoder.parameters()]
        middle = [*self.trunk.parameters(), *self.condition.parameters()]
        above = {id(parameter) for parameter in (*top, *middle)}
        return [top, middle, [p for p in self.parameters() if id(p) not in above]]

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"{super().extra_repr()}, targets={self.target_channels}, correct_last={self.correct_last}"
