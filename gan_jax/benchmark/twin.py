"""PyTorch twins: the game of a Config with the same networks, losses, penalties, optimisers and average of G, in idiomatic
PyTorch: channels_last, fused Adam, no gradients of the player that is not updated, and one forward pass for the loss and a
gradient penalty where both need it. For the Configs of `cases.py` only; imports PyTorch.

With `compiled`, `torch.compile` compiles both networks, forwards and backwards. PyTorch cannot compile second derivatives
("torch.compile with aot_autograd does not currently support double backward"), so what a gradient penalty differentiates twice
runs eagerly.
"""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gan_jax.benchmark import twin_filtered, twin_networks
from gan_jax.config import Config
from gan_jax.spec.expressions import parse_call

ROWS = 1024  # samples in memory, unless a batch is larger
NETWORKS: dict[str, Callable] = {
    "mlp": twin_networks.mlp,
    "dcgan": twin_networks.dcgan,
    "resnet": twin_networks.resnet,
    "biggan": twin_networks.biggan,
    "r3gan": twin_filtered.r3gan,
    "stylegan2": twin_filtered.stylegan2,
}
# (loss of D, loss of G), each a function of (real_logits, fake_logits)
LOSSES: dict[str, tuple[Callable, Callable]] = {
    "non_saturating": (
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda real, fake: F.softplus(-fake).mean(),
    ),
    "wasserstein": (lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean()),
    "hinge": (lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(), lambda real, fake: -fake.mean()),
    "relativistic": (
        lambda real, fake: F.softplus(fake - real).mean(),
        lambda real, fake: F.softplus(real - fake).mean(),
    ),
}
COMPARATIVE = ("relativistic",)  # losses whose term for G needs real logits
BATCH_LAYERS = (nn.BatchNorm2d, twin_filtered.Stddev)  # layers that compare the samples of a batch
PENALTIES = (None, "r1", "r1_r2", "gradient_penalty")


class TwinStep:
    """A training step in PyTorch; it has the methods of `product.ProductStep`."""

    steps_per_call = 1

    def __init__(
        self,
        config: Config,
        shape: tuple[int, ...],
        num_classes: int = 0,
        *,
        compiled: bool = False,
        device: str = "cpu",
        autocast: bool = False,
        threads: int | None = None,
    ):
        if threads:
            torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.config, self.device, self.step, self.compiled = config, torch.device(device), 0, compiled
        self.channels_last = {"memory_format": torch.channels_last} if len(shape) == 3 else {}
        self._autocast = autocast
        model, options = parse_call(config.model)
        networks = NETWORKS[model](config, shape, num_classes, **options)
        self.g, self.d = (network.to(self.device, **self.channels_last) for network in networks)
        self.average = [x.detach().clone() for x in self._averaged()]
        fused = {"betas": (config.b1, config.b2), "fused": True}
        self.g_adam = torch.optim.Adam(self.g.parameters(), config.g_lr, **fused)
        self.d_adam = torch.optim.Adam(self.d.parameters(), config.d_lr, **fused)
        # D sees real and fake samples in one batch, as in BigGAN's code, unless a layer compares the samples of a batch.
        self.joint = not any(isinstance(module, BATCH_LAYERS) for module in self.d.modules())
        # For first derivatives; second ones need `self.g` and `self.d`.
        self.fast_g, self.fast_d = (torch.compile(x, dynamic=False) if compiled else x for x in (self.g, self.d))
        self.d_loss, self.g_loss = LOSSES[config.loss]
        self.comparative = config.loss in COMPARATIVE
        if config.penalty not in PENALTIES or config.g_penalty not in (None, "path_length"):
            raise ValueError(f"no twin of the penalties {config.penalty!r} and {config.g_penalty!r}")
        self.path_length = torch.zeros((), device=self.device)
        size = (max(ROWS, config.batch), *shape)
        stored = torch.randint(0, 256, size, dtype=torch.uint8) if len(shape) == 3 else torch.randn(size)
        self.store = stored.to(self.device)
        self.labels = torch.randint(0, num_classes, (len(stored),), device=self.device) if num_classes else None

    def run(self, steps: int) -> None:
        """Take `steps` steps, the first of which compiles, and wait for them."""
        for _ in range(steps):
            with torch.autocast(self.device.type, torch.bfloat16) if self._autocast else contextlib.nullcontext():
                self._update()
            self.step += 1
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def flops(self) -> float:
        """Operations of convolutions and matrix products in one step, averaged over lazy penalties."""
        period = math.lcm(self.config.penalty_every, self.config.g_penalty_every)
        fast, self.fast_g, self.fast_d = (self.fast_g, self.fast_d), self.g, self.d  # the counter counts eager operations only
        with _FlopCounter() as counter:
            self.run(period)
        self.fast_g, self.fast_d = fast
        return counter.flops / period

    def _update(self) -> None:
        for number in range(self.config.d_steps):
            real, label = self._batch()
            with torch.no_grad():
                fake = self.fast_g(self._z(), label)
            self._move(self.d_adam, self.d_objective(real, fake, label, self.step * self.config.d_steps + number))
        if self.comparative:
            real, label = self._batch()
        self.d.requires_grad_(False)
        self._move(self.g_adam, self.g_objective(real, self._z(), label))
        self.d.requires_grad_(True)
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.average, self._averaged(), 1 - decay)

    def d_objective(self, real: Tensor, fake: Tensor, label: Tensor | None, count: int) -> Tensor:
        """The loss of D with its penalty; `count` is the number of previous updates."""
        penalty = self.config.penalty if count % self.config.penalty_every == 0 else None
        real.requires_grad_(penalty in ("r1", "r1_r2"))
        fake.requires_grad_(penalty == "r1_r2")
        if self.joint and not real.requires_grad:
            both = None if label is None else torch.cat([label, label])
            real_logits, fake_logits = self.fast_d(torch.cat([real, fake]), both).chunk(2)
        else:
            real_logits, fake_logits = ((self.d if x.requires_grad else self.fast_d)(x, label) for x in (real, fake))
        loss = self.d_loss(real_logits.float(), fake_logits.float())
        if penalty is None:
            return loss
        if penalty == "gradient_penalty":
            weight = torch.rand(len(real), *[1] * (real.ndim - 1), device=self.device)
            points = (weight * real + (1 - weight) * fake).requires_grad_()
            value = (_gradient(self.d(points, label), points).norm(dim=1) - 1).square().mean()
        else:
            pairs = [(logits, x) for logits, x in ((real_logits, real), (fake_logits, fake)) if x.requires_grad]
            value = sum(0.5 * _gradient(logits, x).square().sum(1).mean() for logits, x in pairs)
        return loss + self.config.gamma * self.config.penalty_every * value

    def g_objective(self, real: Tensor, z: Tensor, label: Tensor | None) -> Tensor:
        """The loss of G with its penalty."""
        config, real_logits = self.config, None
        if self.comparative:
            with torch.no_grad():
                real_logits = self.fast_d(real, label).float()
        if config.g_penalty is None or self.step % config.g_penalty_every:
            return self.g_loss(real_logits, self.fast_d(self.fast_g(z, label), label).float())
        w = self.g.mapping(z)[:, None].expand(-1, self.g.layers, -1)
        fake = self.g.synthesis(w)
        noise = torch.randn_like(fake) / math.sqrt(math.prod(fake.shape[2:]))
        (gradient,) = torch.autograd.grad((fake * noise).sum(), w, create_graph=True)
        lengths = gradient.float().square().sum(2).mean(1).clamp(min=1e-12).sqrt()
        self.path_length.lerp_(lengths.detach().mean(), 0.01)
        penalty = (lengths - self.path_length).square().mean()
        # Compiled networks have no second derivatives, not even with respect to their inputs.
        loss = self.g_loss(real_logits, self.d(fake, label).float())
        return loss + config.g_gamma * config.g_penalty_every * penalty

    def _move(self, adam: torch.optim.Optimizer, loss: Tensor) -> None:
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

    def _batch(self) -> tuple[Tensor, Tensor | None]:
        rows = torch.randint(0, len(self.store), (self.config.batch,), device=self.device)
        real = self.store[rows]
        if self.channels_last:
            real = real.permute(0, 3, 1, 2).float() / 127.5 - 1
        return real, None if self.labels is None else self.labels[rows]

    def _z(self) -> Tensor:
        return torch.randn(self.config.batch, self.config.z_dim, device=self.device)

    def _averaged(self) -> list[Tensor]:
        """Parameters and batch statistics of G."""
        return [x.detach() for x in (*self.g.parameters(), *self.g.buffers()) if x.is_floating_point()]


def _gradient(logits: Tensor, x: Tensor) -> Tensor:
    """The gradient of the summed logits with respect to x, [B, size], differentiable again."""
    return torch.autograd.grad(logits.sum(), x, create_graph=True)[0].flatten(1).float()


class _FlopCounter(TorchDispatchMode):
    """Counts operations like PyTorch's FlopCounterMode, which ignores the groups of convolutions in their derivatives and does
    not support gradients with respect to inputs."""

    flops = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        result, operation = function(*arguments, **(options or {})), function._overloadpacket
        if operation is torch.ops.aten.convolution_backward:
            gradient, x, kernel, *_, transposed, _, _, mask = arguments
            positions = x if transposed else gradient
            self.flops += 2 * positions.shape[0] * math.prod(positions.shape[2:]) * kernel.numel() * sum(mask[:2])
        elif operation in flop_registry:
            self.flops += flop_registry[operation](*arguments, **(options or {}), out_val=result)
        return result


def parameters(network: nn.Module) -> int:
    """The number of trainable parameters of a network."""
    return sum(x.numel() for x in network.parameters())
