"""Older time steps in patches: weeks of history, read by a Mamba block, at a cost linear in the patches.

Patches as tokens: Nie, Nguyen, Sinthong and Kalagnanam, "A Time Series is Worth 64 Words" (PatchTST, ICLR 2023, arXiv
2211.14730). Builds on ``layers.mamba``.
"""

from __future__ import annotations

from torch import Tensor, nn

from .mamba import MambaBlock

__all__ = ["OLDER_WIDTH", "OlderPatches"]

# Width of the tokens, and of what the head gets
OLDER_WIDTH = 32


class OlderPatches(nn.Module):
    """Encode the time steps before the look-back of each node: linear map of each patch, then Mamba over the patches.

    A token is the sum of three linear maps: of the values and observation masks of the patch, of the node's embedding, and of
    the calendar at the last step of the patch. Of a patch without an observation only the bias is left, whether it is missing or
    lies before the first time step. The output is the last step of ``norm(z + mamba(norm(z)))``.

    Parameters
    ----------
    n_channels : int
        Channels of each time step: values, 0 where missing, and then as many observation masks.
    patch : int
        Time steps of a patch.
    n_time_features : int
        Calendar channels.
    embedding_dim : int
        Width of the node embeddings.
    d_model : int
        Width of a token.
    d_state, d_conv, expand : int
        As `stmest.layers.mamba.MambaBlock`.
    scan_backend : str
        As in `stmest.ops.selective_scan`.

    Shapes
    ------
    older (b, p * patch, n, n_channels), time (b, p * patch, c) or None, E (n, embedding_dim) -> (n, b, d_model)
    """

    def __init__(
        self,
        n_channels: int,
        patch: int,
        n_time_features: int,
        embedding_dim: int,
        d_model: int,
        d_state: int,
        d_conv: int,
        expand: int,
        scan_backend: str = "auto",
    ) -> None:
        super().__init__()
        self.patch = patch
        self.lift_patch = nn.Linear(patch * n_channels, d_model)
        self.lift_node = nn.Linear(embedding_dim, d_model, bias=False)
        self.lift_time = nn.Linear(n_time_features, d_model, bias=False) if n_time_features else None
        self.norm = nn.LayerNorm(d_model)
        self.mamba = MambaBlock(d_model, d_state, d_conv, expand, "auto", scan_backend)
        self.last_norm = nn.LayerNorm(d_model)

    def forward(self, older: Tensor, time: Tensor | None, embedding: Tensor) -> Tensor:
        """Return what the head needs to know of the time steps before the look-back: (n, b, d_model)."""
        b, _, n, f = older.shape
        patches = (
            older.view(b, -1, self.patch, n, f).permute(3, 0, 1, 2, 4).flatten(3)
        )  # (n, b, p, patch * f)
        where = self.lift_node(embedding)[:, None, None]
        if self.lift_time is not None and time is not None:
            where = where + self.lift_time(time[:, self.patch - 1 :: self.patch])
        observed = patches.unflatten(3, (self.patch, f))[..., f // 2 :].amax((3, 4)).unsqueeze(-1)
        z = self.lift_patch(patches) + observed * where
        z = z.flatten(0, 1)  # (n * b, p, d_model)
        z = z[:, -1] + self.mamba(self.norm(z))[:, -1]
        return self.last_norm(z).view(n, b, -1)

    def extra_repr(self) -> str:
        """Shown by repr."""
        return f"patch={self.patch}"
