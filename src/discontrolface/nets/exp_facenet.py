"""Exp-FaceNet: the control network beside the frozen backbone (DisControlFace, Section 3.2).

It mirrors the conditional U-Net, time and z_sem included. Its input layer takes the snapshot; that layer's output is summed with the output
of the backbone's input layer on x_t, and the sum goes through the copy. The output of every decoder block is added to that of the backbone's
block, through a 1x1 convolution that starts at zero (ControlNet's, Zhang et al., ICCV 2023): at the start the system is the backbone, bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import OPEN_MAPS, PAPER_MAPS, SnapshotSpec, check_maps
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.blocks import group_norm, silu, zeroed
from discontrolface.nets.control import Control, DecodedMix
from discontrolface.nets.mirror import mirrored_snapshot
from discontrolface.nets.network import Network
from discontrolface.nets.unet import DeepFeatures, UNet, UNetShape

PREVIEW_GATES = ("none", "zero", "visibility")


class InwardClamp(torch.autograd.Function):
    """clamp(x, 0, 1) whose gradient also passes outside the range where descending it leads back inside.

    With the plain gradient a gate that has once been pushed below 0 would stay shut for ever.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        outward = ((x < 0) & (gradient > 0)) | ((x > 1) & (gradient < 0))
        return gradient.masked_fill(outward, 0)


def shared_gate(gate: Tensor, preview: Tensor, still: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """One gate and one picture that mix as two do: x0 + gate (preview - x0) + still (source - x0); gates scaled to a sum of 1 at most."""
    both = gate + still  # (B,1,h,w)
    return both.clamp(max=1), torch.lerp(preview, source, still / both.clamp(min=1e-4))  # (B,1,h,w), (B,C,h,w)


Mixed = tuple[Tensor, Tensor | None, Tensor | None]  # preview, visibility and source, of one size; with their gates only


@dataclass(frozen=True)
class SnapshotReading:
    """What the control network takes from a snapshot once, for all steps.

    mixed: in the backbone's space, (B,C,h,w) and (B,1,h,w); with `mix_decoded` pictures of the size that the input layer sees. whole: with
    `mix_decoded`, at the picture's size, for the last step.
    """

    stem: Tensor  # (B,C,G,G)
    mixed: Mixed | None = None
    whole: Mixed | None = None


class ExpFaceNet(Network):
    """The control network; make one with `ExpFaceNet.from_backbone(model)`.

    Our extension: with `preview_gate` "zero" or "visibility" a last output gives a gate per pixel that mixes the preview (the warped photo,
    part of the snapshot) into the predicted x0: gate = clamp(start + output, 0, 1), output zero at the start, start 0 or the preview's
    visibility. With "zero" the system still starts as the backbone, bit for bit. `preview_correction` adds a second output, zero at the start:
    what is to be added to the preview, so that a pixel can keep the photo's texture and still change its light. `source_gate` adds a gate of the
    same kind, zero at the start, for the source at its own place: what stands still (the background behind a head that turns) is copied too.

    Beside a backbone that denoises latents: `stem_shrink` averages the snapshot first, `stem_widths` brings it to the grid by convolutions that halve
    it, and `preview_in_space` also shows the preview (and the source, where it is among the maps) as the backbone's space holds them.
    `mix_decoded` mixes pictures, not latents: gates and correction have squares of `stem_shrink` pixels, and the last prediction is mixed after it
    is decoded, so that what is copied keeps every pixel and an outline its place. Between steps the mixed picture's latents are mixed, by the gates'
    means.
    """

    __call__: Callable[..., Control]

    def __init__(
        self,
        head: str = "open",  # the head model that the snapshots show
        snapshot_maps: Sequence[str] = PAPER_MAPS,  # their maps, in the order of common/snapshot_spec.py
        snapshot_channels: int = 6,  # their channels in all
        preview_gate: str = "none",  # "none" (the paper), "zero" or "visibility"
        preview_correction: bool = False,  # with a gate: also predict what is added to the preview before it is mixed in
        source_gate: bool = False,  # with a gate: a second one that mixes in the source, unmoved
        control_blocks: Sequence[int] | None = None,  # decoder blocks that get a feature; None: all (the paper names 13: range(13))
        image_size: int = 256,  # from here on: the backbone's own numbers, see DiffAE; height and width of a snapshot
        patch: int = 1,  # pixel unshuffle that brings a snapshot to the U-Net's grid
        model_channels: int = 128,
        channel_mult: Sequence[float] = (1, 1, 2, 2, 4, 4),
        num_res_blocks: int = 2,
        attention_resolutions: Sequence[int] = (16,),
        num_heads: int = 1,
        embed_channels: int = 512,
        z_channels: int = 512,
        dropout: float = 0.1,
        space_channels: int = 3,  # of what the backbone denoises
        space_size: int | None = None,  # its height and width; None: image_size
        stem_widths: Sequence[int] = (),  # of convolutions that each halve the snapshot before the input layer; (): patches alone
        stem_shrink: int = 1,  # the input layer sees the snapshot averaged over squares of so many pixels; gates and preview: as it is
        preview_in_space: bool = False,  # the input layer also sees the preview (and the source) in the backbone's space
        mix_decoded: bool = False,  # with a gate: preview and source are mixed into the decoded picture, see above
    ) -> None:
        super().__init__()
        if preview_gate not in PREVIEW_GATES:
            raise UserError(f"preview_gate {preview_gate!r} is not known; choose one of {', '.join(PREVIEW_GATES)}.")
        self.spec = SnapshotSpec(head, check_maps(snapshot_maps))
        if self.spec.channels != snapshot_channels:
            width = self.spec.channels
            raise UserError(f"snapshot_channels {snapshot_channels} does not fit the maps {', '.join(snapshot_maps)}, which have {width}.")
        if preview_correction and preview_gate == "none":
            raise UserError("preview_correction needs a preview_gate, 'zero' or 'visibility': without one the preview is not mixed in.")
        if mix_decoded and (preview_gate == "none" or space_size in (None, image_size)):
            raise UserError("mix_decoded goes with a preview_gate, 'zero' or 'visibility', beside a backbone on latents.")
        if source_gate and preview_gate == "none":
            raise UserError("source_gate goes with a preview_gate, 'zero' or 'visibility'.")
        needed = {"none": (), "zero": ("preview",), "visibility": ("preview", "visibility")}[preview_gate]
        for name in (*needed, *(("source",) if source_gate else ())):
            if name not in self.spec:
                raise UserError(f"preview_gate {preview_gate!r} or source_gate needs the snapshot map {name!r}; add it to snapshot_maps.")
        self.space_stride = image_size // (space_size or image_size)  # pixels of the picture in one of the space, a side
        self.space_patch = patch // self.space_stride  # pixel shuffle from the grid to the space
        halved = stem_shrink * 2 ** len(stem_widths)
        self.stem_shrink, self.snapshot_patch = stem_shrink, patch // halved  # pixel unshuffle before the first convolution on a snapshot
        if self.snapshot_patch * halved != patch:
            raise UserError(
                f"stem_shrink {stem_shrink} and stem_widths {tuple(stem_widths)}: too much for {patch} pixels a side of the grid."
            )
        if preview_in_space and "preview" not in self.spec:
            raise UserError("preview_in_space needs the snapshot map 'preview'; add it to snapshot_maps.")
        widths = (snapshot_channels * self.snapshot_patch**2, *stem_widths)
        self.snapshot_stem = nn.Sequential(*(m for a, b in pairwise(widths) for m in (nn.Conv2d(a, b, 3, 2, 1), nn.SiLU())))
        self.unet = UNet(widths[-1], None, UNetShape.of(self.config, image_size // patch))
        zeroed(self.unet.stem)  # so that the copied layers start on the features they know
        self.shown_in_space = tuple(m for m in ("preview", "source") if preview_in_space and m in self.spec)
        if preview_in_space:
            inputs = len(self.shown_in_space) * space_channels * self.space_patch**2
            self.space_stem = zeroed(nn.Conv2d(inputs, self.unet.stem.out_channels, 3, padding=1))
        blocks = range(len(self.unet.up)) if control_blocks is None else control_blocks
        if not all(0 <= k < len(self.unet.up) for k in blocks):
            raise UserError(f"control_blocks {tuple(blocks)} names a decoder block outside 0..{len(self.unet.up) - 1}.")
        self.features = nn.ModuleDict({str(k): zeroed(nn.Conv2d(self.unet.up_channels[k], self.unet.up_channels[k], 1)) for k in blocks})
        self.patch, self.preview_gate, self.mix_decoded = patch, preview_gate, mix_decoded
        self.mix_patch = patch // stem_shrink if mix_decoded else self.space_patch  # pixel shuffle from the grid to gates and correction
        if preview_gate != "none":
            width = self.unet.up_channels[-1]
            self.gate_norm = group_norm(width)
            self.gate_head = zeroed(nn.Conv2d(width, self.mix_patch**2, 3, padding=1))
        if source_gate:
            self.source_gate_head = zeroed(nn.Conv2d(width, self.mix_patch**2, 3, padding=1))
        if preview_correction:
            channels = 3 if mix_decoded else space_channels
            self.correction_head = zeroed(nn.Conv2d(width, channels * self.mix_patch**2, 3, padding=1))

    @classmethod
    def from_backbone(
        cls,
        backbone: Backbone,
        snapshot_channels: int | None = None,  # None: what the maps have
        snapshot_maps: Sequence[str] | None = None,  # None: the paper's six channels, or for 10 channels the open preset's four maps
        preview_gate: str = "none",
        preview_correction: bool = False,
        source_gate: bool = False,
        control_blocks: Sequence[int] | None = None,
        head: str = "open",
        stem_widths: Sequence[int] = (),
        stem_shrink: int = 1,
        preview_in_space: bool = False,
        mix_decoded: bool = False,
    ) -> "ExpFaceNet":
        """A control network of the backbone's shape whose trunk starts as a copy of the backbone's, on the backbone's device and dtype."""
        if snapshot_maps is None:
            known = {SnapshotSpec(head, maps).channels: maps for maps in (PAPER_MAPS, OPEN_MAPS)}
            width = snapshot_channels or SnapshotSpec(head, PAPER_MAPS).channels
            if width not in known:
                raise UserError(f"snapshot_channels {width} says nothing about its maps; name them in snapshot_maps.")
            snapshot_maps = known[width]
        shape, space, size = backbone.unet.shape, backbone.space, backbone.image_size
        control = cls(
            head=head,
            snapshot_maps=tuple(snapshot_maps),
            snapshot_channels=snapshot_channels or SnapshotSpec(head, check_maps(snapshot_maps)).channels,
            preview_gate=preview_gate,
            preview_correction=preview_correction,
            source_gate=source_gate,
            control_blocks=None if control_blocks is None else tuple(control_blocks),
            image_size=size,
            patch=size // shape.grid,
            model_channels=shape.channels,
            channel_mult=shape.mult,
            num_res_blocks=shape.res_blocks,
            attention_resolutions=shape.attention_resolutions,
            num_heads=shape.heads,
            embed_channels=shape.embed_channels,
            z_channels=shape.z_channels,
            dropout=shape.dropout,
            space_channels=space.channels,
            space_size=space.size,
            stem_widths=tuple(stem_widths),
            stem_shrink=stem_shrink,
            preview_in_space=preview_in_space,
            mix_decoded=mix_decoded,
        )
        for part in ("time_embed", "down", "middle", "up"):
            getattr(control.unet, part).load_state_dict(getattr(backbone.unet, part).state_dict())
        like = backbone.unet.stem.weight
        return control.to(device=like.device, dtype=like.dtype)

    def read(self, snapshot: Tensor, backbone: Backbone, mirrored: bool = False) -> SnapshotReading:
        """The input layer on the snapshot (B,S,H,W), and its preview in the backbone's space. Both do not depend on the step: compute them once.

        mirrored: of the snapshot's mirror image, which is not made whole.
        """
        p = self.snapshot_patch
        maps = F.avg_pool2d(snapshot, self.stem_shrink) if self.stem_shrink > 1 else snapshot
        if mirrored:
            maps = mirrored_snapshot(maps, self.spec)

        def shown(name: str) -> Tensor:
            picture = snapshot[:, self.spec.slice(name)]
            return picture.flip(-1) if mirrored else picture

        stem = self.unet.stem(self.snapshot_stem(F.pixel_unshuffle(maps, p) if p > 1 else maps))  # (B,C,G,G)
        if self.shown_in_space:
            latents = torch.cat([backbone.to_space(shown(m)) for m in self.shown_in_space], 1)
            stem = stem + self.space_stem(F.pixel_unshuffle(latents, self.space_patch))
        if self.preview_gate == "none":
            return SnapshotReading(stem)
        if not self.mix_decoded:
            stride = self.space_stride
            return SnapshotReading(
                stem, self.mixed_maps(lambda m: F.avg_pool2d(shown(m), stride) if m == "visibility" else backbone.to_space(shown(m)))
            )
        small = self.mixed_maps(lambda m: maps[:, self.spec.slice(m)].clone())
        return SnapshotReading(stem, small, None if mirrored else self.mixed_maps(shown))

    def mixed_maps(self, get: Callable[[str], Tensor]) -> Mixed:
        """What is mixed, by name."""
        visibility = get("visibility") if self.preview_gate == "visibility" else None
        return get("preview"), visibility, get("source") if self.config["source_gate"] else None

    def forward(
        self,
        x_t: Tensor,  # (B,C,h,w), the noisy picture in the backbone's space
        t: Tensor,  # (B,), timesteps 0..999
        z: Tensor,  # (B,Z), z_sem
        snapshot: Tensor,  # (B,S,H,W), the maps of `spec` side by side
        backbone: Backbone,  # the model that takes the result
        reading: SnapshotReading | None = None,  # `read(snapshot, backbone)`, if computed before
        deep: DeepFeatures | None = None,  # reuse deep features between neighbouring steps; None: never
        last: bool = False,  # with `mix_decoded`: nothing is mixed into the prediction but, `Control.decoded`, into the picture it is decoded to
    ) -> Control:
        """The control signal for `backbone(x_t, t, z, control=...)`."""
        reading = self.read(snapshot, backbone) if reading is None else reading
        h = reading.stem + backbone.stem(x_t)  # (B,C,G,G)
        outputs: dict[int, Tensor] = {}
        h = self.unet(h, t, z, collect=outputs, deep=deep)  # (B,C,G,G)
        features = tuple(
            self.features[str(k)](outputs.pop(k)) if k in outputs and str(k) in self.features else None for k in range(len(self.unet.up))
        )
        if self.preview_gate == "none":
            return Control(features)
        h = silu(self.gate_norm(h))
        mixed = reading.whole if self.mix_decoded and last else reading.mixed
        assert mixed is not None, "a mirrored reading is not for the last step"
        gate, picture = self.mix(h, mixed)
        if not self.mix_decoded:
            return Control(features, gate=gate, preview=picture)
        if last:
            return Control(features, decoded=DecodedMix(gate, picture))
        return Control(features, F.avg_pool2d(gate, self.space_stride // self.stem_shrink), backbone.to_space(self.enlarged(picture)))

    def mix(self, h: Tensor, mixed: Mixed) -> tuple[Tensor, Tensor]:
        """What is mixed into a prediction: the gate (B,1,h,w) and the picture (B,C,h,w), of the size of the maps. h: (B,W,G,G), the last features."""
        preview, visibility, source = mixed

        def output(head: nn.Module) -> Tensor:
            out = F.pixel_shuffle(head(h), self.mix_patch)
            return out if out.shape[-1] == preview.shape[-1] else self.enlarged(out)

        gate = output(self.gate_head)
        if visibility is not None:
            gate = gate + visibility
        if self.config["preview_correction"]:
            preview = preview + output(self.correction_head)
        gate = InwardClamp.apply(gate)
        if source is None:
            return gate, preview
        return shared_gate(gate, preview, InwardClamp.apply(output(self.source_gate_head)), source)

    def enlarged(self, x: Tensor) -> Tensor:
        """From the size that the input layer sees to the picture's."""
        return x if self.stem_shrink == 1 else F.interpolate(x, scale_factor=self.stem_shrink, mode="bilinear", align_corners=False)
