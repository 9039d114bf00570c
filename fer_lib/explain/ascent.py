"""Images changed step by step to excite a layer: gradient ascent, compiled as a whole, for all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fer_lib.explain.gradients import BATCH, batched, compile_for, compiled
from fer_lib.explain.layers import Images, before_convolution, check_images, unactivated

THIN = 4
"""Up to so many channels an image's own filter is quicker applied channel by channel than as a product."""

MID_GREY = 127.5


@dataclass(frozen=True)
class Regularization:
    """What keeps gradient ascent to images that an eye can read; the default is nothing.

    Attributes:
        jitter: Most pixels by which a step shifts the image to and fro before it looks at it, so that no
            pixel's place counts (Mordvintsev, Olah and Tyka, "Inceptionism", 2015).
        blur: Deviation in pixels of the blur after every `blur_every` steps (Yosinski et al., "Understanding
            Neural Networks Through Deep Visualization", 2015).
        blur_every: See there.
        total_variation: Weight of a step that smooths, against the step that excites, which has weight 1
            (Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting Them", 2015).
        decay: Part of its distance to mid-grey that a pixel loses in every step (Yosinski et al.).
        coarse: Exponent p by which coarse patterns are preferred: a frequency f moves in proportion to 1/f^p.
            2 is plain ascent on the 1/f-weighted Fourier coefficients of the image (Olah, Mordvintsev and
            Schubert, "Feature Visualization", 2017); 0 treats all alike.
    """

    jitter: int = 0
    blur: float = 0.0
    blur_every: int = 4
    total_variation: float = 0.0
    decay: float = 0.0
    coarse: float = 0.0


PLAIN = Regularization()


def ascend(
    model: keras.Model,
    layer: str,
    channels: npt.NDArray[np.int64],
    images: Images,
    *,
    steps: int,
    learning_rate: float,
    clip: tuple[float, float] | None = None,
    regularization: Regularization = PLAIN,
    done: int = 0,
    seed: int = 0,
    batch_size: int = BATCH,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Change each image, step by step, so that it excites its own channel of a layer more.

    What is raised is the mean of the channel over all its positions; of a convolution without an activation
    function, whose ReLU comes after a batch norm, the mean of what is above zero, because the plain mean asks for
    no pattern: its gradient is the same everywhere but at the edges. A step adds `learning_rate` times the
    gradient divided by its root mean square, so that every image moves at the same pace, whatever the size of
    its gradient.

    A channel that a ReLU made zero everywhere has no gradient to leave zero by. Until it responds, its
    largest weighted sum before the ReLU is raised instead, to the same end as the redirected ReLU gradients
    of Lucid (Olah, Mordvintsev and Schubert, "Feature Visualization", 2017).

    Args:
        model: As in `input_gradients`; only its part up to `layer` runs.
        layer: Name of the layer. For a softmax output layer the channels are the classes' scores.
        channels: Channel of the layer (last axis) that each image is to excite, int array of shape (n,).
        images: Where to start, array of shape (n, h, w, c).
        steps: Number of steps.
        learning_rate: Root mean square of the change in one step, in units of the image.
        clip: Lowest and highest value that a pixel may take, or None for no bounds.
        regularization: What keeps the images readable.
        done: Steps that the images have behind them: an ascent in two parts is that in one.
        seed: Decides the jitter, the same for all images.
        batch_size: Most images in memory at once.

    Returns:
        The images, float32 (n, h, w, c), and the activations before the first and after each step,
        float32 (steps + 1, n).

    Raises:
        InputError: The model has no such layer.
        ValueError: Shapes do not fit the model.
    """
    check_images(model, images)
    r = regularization
    function = compiled(model, f"ascend {layer} {r}", lambda: _ascent_function(model, layer, r))
    height, width = images.shape[1:3]
    settings = (
        tf.constant([learning_rate, *(clip or (-np.inf, np.inf))], tf.float32),
        tf.constant(_shifts(done + steps, r.jitter, seed)[done:], tf.int32),
        tf.constant([(done + step + 1) % r.blur_every == 0 for step in range(steps)]),
        tf.constant(_low_pass(height, width, r.coarse), tf.complex64),
        tf.constant(_blur(height, width, r.blur), tf.complex64),
    )
    images, history = batched(function, images, channels, batch_size, *settings)
    return images, history.T


def _shifts(steps: int, jitter: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(-jitter, jitter, (steps, 2), endpoint=True)


def _frequencies(height: int, width: int) -> npt.NDArray[np.float64]:
    """Cycles per pixel of each coefficient of a real Fourier transform."""
    return np.asarray(np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width)))


def _low_pass(height: int, width: int, exponent: float) -> npt.NDArray[np.float64]:
    # The mean grey, of frequency 0, moves like the coarsest pattern.
    return np.asarray(np.maximum(_frequencies(height, width), 1 / max(height, width)) ** -exponent)


def _blur(height: int, width: int, deviation: float) -> npt.NDArray[np.float64]:
    return np.asarray(np.exp(-2 * np.square(np.pi * deviation * _frequencies(height, width))))


def _filtered(images: tf.Tensor, spectrum: tf.Tensor) -> tf.Tensor:
    """Images (n, h, w, c) with each frequency multiplied by its entry of `spectrum`."""
    planes = tf.transpose(images, (0, 3, 1, 2))
    filtered = tf.signal.irfft2d(tf.signal.rfft2d(planes) * spectrum, tf.shape(planes)[2:])
    return tf.ensure_shape(tf.transpose(filtered, (0, 2, 3, 1)), images.shape)


def _ascent_function(model: keras.Model, layer: str, r: Regularization) -> Callable[..., Any]:
    part, sums_of, activation = _channel_sums(model, layer)

    def of_channel(maps: tf.Tensor, reduce: Callable[..., tf.Tensor]) -> tf.Tensor:
        return reduce(maps, axis=list(range(1, maps.shape.rank)))

    def ascent(
        images: tf.Tensor,
        channels: tf.Tensor,
        numbers: tf.Tensor,
        shifts: tf.Tensor,
        blurs: tf.Tensor,
        coarse: tf.Tensor,
        blur: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        rate, low, high = tf.unstack(numbers)
        steps = tf.shape(shifts)[0]

        def direction(images: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(images)
                seen = tf.roll(images, shifts[step], (1, 2)) if r.jitter else images
                before = sums_of(part(seen, training=False), channels)
                active = of_channel(activation(before), tf.reduce_mean)
                goal = tf.where(active == 0, of_channel(before, tf.reduce_max), active)
            found = tape.gradient(goal, images)
            return active, _unit(_filtered(found, coarse) if r.coarse else found)

        def climb(
            step: tf.Tensor, images: tf.Tensor, history: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
            active, move = direction(images, step)
            if r.total_variation:
                move -= r.total_variation * _unit(_roughness_gradient(images))
            images = tf.clip_by_value(images + rate * move, low, high)
            if r.decay:
                images = MID_GREY + (1 - r.decay) * (images - MID_GREY)
            if r.blur:
                images = tf.cond(blurs[step], lambda: _filtered(images, blur), lambda: images)
            return step + 1, images, history.write(step, active)

        history = tf.TensorArray(tf.float32, size=steps + 1, element_shape=channels.shape)
        _, images, history = tf.while_loop(lambda step, *_: step < steps, climb, (0, images, history))
        active = of_channel(activation(sums_of(part(images, training=False), channels)), tf.reduce_mean)
        return images, tf.transpose(history.write(steps, active).stack())

    spectrum = tf.TensorSpec((None, None), tf.complex64)
    return compile_for(
        ascent,
        part,
        tf.TensorSpec((3,), tf.float32),
        tf.TensorSpec((None, 2), tf.int32),
        tf.TensorSpec((None,), tf.bool),
        spectrum,
        spectrum,
    )


def _unit(direction: tf.Tensor) -> tf.Tensor:
    """Directions (n, h, w, c) with a root mean square of 1 for each image; zeros stay zeros."""
    rms = tf.sqrt(tf.reduce_mean(tf.square(direction), axis=(1, 2, 3), keepdims=True))
    # Not `/ (rms + epsilon)`: a mean over many positions has gradients as small as any usual epsilon.
    return tf.math.divide_no_nan(direction, rms)


def _channel_sums(
    model: keras.Model, layer: str
) -> tuple[keras.Model, Callable[[tf.Tensor, tf.Tensor], tf.Tensor], Callable[..., tf.Tensor]]:
    """A part of a model; what makes of its output the weighted sums of each image's own channel; the activation."""
    whole, activation = unactivated(model, layer)
    part, convolution = before_convolution(model, layer)
    if part is not None:
        if activation is keras.activations.linear:
            activation = keras.activations.relu
        return part, lambda given, channels: _own_channel(convolution, given, channels), activation

    def gathered(values: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
        last = values.shape.rank - 1
        first = tf.transpose(tf.cast(values, tf.float32), (0, last, *range(1, last)))
        return tf.gather(first, channels, batch_dims=1)

    return whole, gathered, activation


def _own_channel(convolution: keras.layers.Conv2D, given: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
    """The sums of one channel of a convolution for each image, (n, h', w'): the others need not be computed."""
    weights = tf.cast(tf.gather(tf.convert_to_tensor(convolution.kernel), channels, axis=3), tf.float32)
    rows, columns, depth, _ = weights.shape
    height, width = given.shape[1:3]
    given = tf.cast(given, tf.float32)
    if depth <= THIN and len(set(convolution.strides)) == 1:
        # All images as one, whose channels each have a filter of their own.
        sums = keras.ops.depthwise_conv(
            tf.reshape(tf.transpose(given, (1, 2, 0, 3)), (1, height, width, -1)),
            tf.reshape(tf.transpose(weights, (0, 1, 3, 2)), (rows, columns, -1, 1)),
            strides=convolution.strides,
            padding=convolution.padding,
            dilation_rate=convolution.dilation_rate,
        )[0]
        sums = tf.reduce_sum(tf.reshape(sums, (*sums.shape[:2], -1, depth)), axis=3)
        sums = tf.transpose(sums, (2, 0, 1))
    else:
        # What each place of the filter makes of each pixel is one product; a convolution adds them up, shifted.
        places = rows * columns
        products = tf.matmul(
            tf.reshape(given, (-1, height * width, depth)),
            tf.reshape(tf.transpose(weights, (3, 2, 0, 1)), (-1, depth, places)),
        )
        shifts = tf.reshape(tf.eye(places), (rows, columns, places, 1))
        sums = convolution.convolution_op(tf.reshape(products, (-1, height, width, places)), shifts)[..., 0]
    if convolution.use_bias:
        bias = tf.cast(tf.gather(tf.convert_to_tensor(convolution.bias), channels), tf.float32)
        sums += bias[:, tf.newaxis, tf.newaxis]
    return sums


def _roughness_gradient(images: tf.Tensor) -> tf.Tensor:
    """The gradient of half the sum of squared differences of neighbouring pixels, edges joined."""
    neighbours = tf.add_n([tf.roll(images, shift, axis) for axis in (1, 2) for shift in (-1, 1)])
    return 4 * images - neighbours
