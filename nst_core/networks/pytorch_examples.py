"""The generator of the fast neural style example among PyTorch's examples.

Its layers have the names that its checkpoints give them: a checkpoint fits as it is. Like the
everyday network of ``transformer.py`` it pads every convolution by reflection and doubles by
repeating pixels; unlike it, it works on 0..255 and puts no bounded function at its end.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nst_core.networks.generator import Generator, checked_width, padded_conv
from nst_core.networks.normalization import make_norm


class PytorchExamplesNet(Generator):
    """Feed-forward generator: N x 3 x H x W in [0, 1] to the same, for any H and W.

    ``width`` is the number of channels of the first convolution, 32 in the original.

    The original's picture is larger than its input where a side is no multiple of 4; this is its
    upper left part. Sides under 5, which the original cannot compute, are filled up by repeating
    the last row and column.
    """

    output_layer = "deconv3.conv2d"
    min_side = 5
    """The first convolution reflects 4 pixels, and needs one more to reflect them at."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = checked_width(width, "the original has 32")
        self.conv1 = ReflectedConv(3, width, kernel_size=9)
        self.in1 = make_norm("instance", width)
        self.conv2 = ReflectedConv(width, 2 * width, kernel_size=3, stride=2)
        self.in2 = make_norm("instance", 2 * width)
        self.conv3 = ReflectedConv(2 * width, 4 * width, kernel_size=3, stride=2)
        self.in3 = make_norm("instance", 4 * width)
        self.res1 = ResidualBlock(4 * width)
        self.res2 = ResidualBlock(4 * width)
        self.res3 = ResidualBlock(4 * width)
        self.res4 = ResidualBlock(4 * width)
        self.res5 = ResidualBlock(4 * width)
        self.deconv1 = ReflectedConv(4 * width, 2 * width, kernel_size=3, doubles=True)
        self.in4 = make_norm("instance", 2 * width)
        self.deconv2 = ReflectedConv(2 * width, width, kernel_size=3, doubles=True)
        self.in5 = make_norm("instance", width)
        self.deconv3 = ReflectedConv(width, 3, kernel_size=9)
        self.finish = nn.Identity()

    def forward_padded(self, padded: Tensor) -> Tensor:
        """Stylize sides of ``min_side`` or more."""
        features = padded * 255
        features = F.relu(self.in1(self.conv1(features)))
        features = F.relu(self.in2(self.conv2(features)))
        features = F.relu(self.in3(self.conv3(features)))
        for block in (self.res1, self.res2, self.res3, self.res4, self.res5):
            features = block(features)
        features = F.relu(self.in4(self.deconv1(features)))
        features = F.relu(self.in5(self.deconv2(features)))
        output: Tensor = self.finish(self.deconv3(features)) / 255
        return output


class ReflectedConv(nn.Module):
    """A convolution padded by reflection, of a picture first doubled in size if ``doubles``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel_size: int,
        stride: int = 1,
        doubles: bool = False,
    ) -> None:
        super().__init__()
        self.doubles = doubles
        self.conv2d = padded_conv(inputs, outputs, kernel_size=kernel_size, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """N x C x H x W to ceil(H / stride), or to 2 H."""
        if self.doubles:
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        output: Tensor = self.conv2d(features)
        return output


class ResidualBlock(nn.Module):
    """conv-norm-ReLU-conv-norm plus the identity; no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ReflectedConv(channels, channels, kernel_size=3)
        self.in1 = make_norm("instance", channels)
        self.conv2 = ReflectedConv(channels, channels, kernel_size=3)
        self.in2 = make_norm("instance", channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        residual: Tensor = self.in2(self.conv2(F.relu(self.in1(self.conv1(features)))))
        return features + residual
