"""The latent DPM's network: noise prediction on z_sem, so that faces can be drawn without a photo (Diff-AE; official `MLPSkipNet`)."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.nets.blocks import timestep_embedding
from discontrolface.nets.network import Network
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.nets.randomness import Dropout


class MLPLayer(nn.Module):
    """linear(x) * (bias + linear(SiLU(time))) -> LayerNorm -> SiLU -> dropout (official `MLPLNAct`)."""

    def __init__(self, in_channels: int, out_channels: int, time_channels: int, bias: float, norm: bool, dropout: float) -> None:
        super().__init__()
        self.bias = bias
        self.linear = nn.Linear(in_channels, out_channels)
        self.condition = nn.Linear(time_channels, out_channels)
        nn.init.kaiming_normal_(self.linear.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.condition.weight, nonlinearity="relu")
        self.norm = nn.LayerNorm(out_channels) if norm else nn.Identity()
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x (B,I), time (B,C) after SiLU -> (B,O)."""
        h = self.linear(x) * (self.bias + self.condition(time))
        return self.dropout(F.silu(self.norm(h)))


class MLPSkipNet(Network):
    """An MLP that gets its input again at every layer. Works on normalised codes, (z - mean) / std; the statistics are buffers."""

    __call__: Callable[..., Tensor]

    def __init__(
        self,
        channels: int = 512,  # width of z_sem
        hidden_channels: int = 2048,  # width of the hidden layers
        num_layers: int = 10,
        skip_layers: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8, 9),  # layers that get the input again
        time_channels: int = 64,  # width of the sinusoidal time embedding
        time_layers: int = 2,  # linear layers on it
        norm: bool = True,  # LayerNorm in the hidden layers
        condition_bias: float = 1.0,  # what the time scale starts from
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.noise_process = NoiseProcess("const", "epsilon")
        self.time_channels, self.skip_layers = time_channels, tuple(skip_layers)
        time: list[nn.Module] = [nn.Linear(time_channels, channels)]
        for _ in range(time_layers - 1):
            time += [nn.SiLU(), nn.Linear(channels, channels)]
        self.time_embed = nn.Sequential(*time)
        self.layers = nn.ModuleList()
        for i in range(num_layers - 1):
            width = (channels if i == 0 else hidden_channels) + (channels if i in skip_layers else 0)
            self.layers.append(MLPLayer(width, hidden_channels, channels, condition_bias, norm, dropout))
        self.head = nn.Linear(hidden_channels + (channels if num_layers - 1 in skip_layers else 0), channels)
        self.head_skips = num_layers - 1 in skip_layers
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.mean: Tensor
        self.std: Tensor

    def set_statistics(self, codes: Tensor) -> None:
        """Take mean and standard deviation from the codes (N,Z) that the network will be trained on."""
        self.mean.copy_(codes.mean(0))
        self.std.copy_(codes.std(0).clamp(min=1e-6))

    def normalize(self, z: Tensor) -> Tensor:
        """z_sem -> what the network works on: (B,Z)."""
        return (z - self.mean) / self.std

    def denormalize(self, z: Tensor) -> Tensor:
        """The inverse of `normalize`."""
        return z * self.std + self.mean

    def forward(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Noisy normalised code (B,Z) at t (B,) -> predicted noise (B,Z)."""
        time = F.silu(self.time_embed(timestep_embedding(t, self.time_channels).to(z_t.dtype)))  # (B,Z)
        h = z_t
        for i, layer in enumerate(self.layers):
            h = layer(torch.cat([h, z_t], dim=1) if i in self.skip_layers else h, time)
        return self.head(torch.cat([h, z_t], dim=1) if self.head_skips else h)
