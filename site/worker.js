// The pooling network in a Worker: what utils.attention computes, by TensorFlow.js on WebAssembly.
const SIDE = 150, MEAN = [123.68, 116.779, 103.939];
const WIDTHS = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 2]; // channels between the layers
const AFTER_POOLING = new Set([2, 4, 7, 10]);
let job = 0, ready, picture, layers; // job: the number of the last request: who finds another one stops

// A request is { network: address } at first, then { number, bitmap, class, sigma, n }: the bitmap of a new picture,
// or none for the last one.
onmessage = async ({ data: ask }) => {
  const mine = ++job;
  try {
    if (ask.network) ready = load(ask.network);
    await ready;
    if (ask.bitmap) picture = { pixels: squash(ask.bitmap), number: ask.number, saliency: {}, samples: {} };
    if (!ask.number || mine !== job) return;
    for (const found of explain(ask)) {
      postMessage({ number: picture.number, ...found });
      await new Promise((done) => setTimeout(done)); // here newer requests come in
      if (mine !== job) return;
    }
  } catch (error) {
    postMessage({ failed: error.name === "TypeError" ? "network" : "machine", why: error.message });
  }
};

// What there is to show of a picture, one after the other: the answer with CAM and Grad-CAM, saliency, SmoothGrad.
function* explain({ class: chosen, sigma, n }) {
  if (!picture.logits) {
    const [logits, cam, gradCam] = tf.tidy(() => answer(picture.pixels).map((tensor) => tensor.arraySync()));
    picture.logits = logits;
    yield { logits, maps: [0, 1].flatMap((c) => [map("cam", c, cam[c]), map("grad_cam", c, gradCam[c])]) };
  }
  const c = chosen ?? Number(picture.logits[1] > picture.logits[0]);
  picture.saliency[c] ??= saliency(picture.pixels, c);
  yield { maps: [map("saliency", c, picture.saliency[c])] };
  const samples = (picture.samples[[c, sigma]] ??= []);
  for (let count = Math.max(1, Math.min(samples.length, n)); count <= n; count++) {
    if (samples.length < count) samples.push(saliency(noisy(picture.pixels, sigma, samples.length), c));
    const some = samples.slice(0, count), mean = (_, i) => some.reduce((sum, sample) => sum + sample[i], 0) / count;
    yield { maps: [map("smoothgrad", c, some[0].map(mean))], count };
  }
}

const map = (technique, c, values) => ({ technique, class: c, values, levels: levels(values) });

// ------------------------------------------------------------------------------ the network

// Fetch the network, or take it from the browser's cache; another network has another address.
async function load(address) {
  const cache = address.startsWith("http") ? await self.caches?.open("network").catch(() => undefined) : undefined;
  let packed = await cache?.match(address);
  if (!packed) {
    packed = await fetch(address);
    if (!packed.ok) throw new TypeError(packed.statusText);
    await cache?.put(address, packed.clone()).catch(() => undefined); // where nothing is kept, the page works, too
  }
  await build(await new Response(packed.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

// From the bytes that site/live.py packs: steps and biases, kernels in 8 bits, and TensorFlow's WebAssembly.
async function build(bytes) {
  const shapes = WIDTHS.slice(1).map((width, i) => (i < 13 ? [3, 3, WIDTHS[i], width] : [WIDTHS[i], width]));
  let floats = 0, ints = 8 * shapes.reduce((sum, shape) => sum + shape.at(-1), 0); // where the next ones begin
  const unpacked = shapes.map((shape) => {
    const width = shape.at(-1), size = shape.reduce((a, b) => a * b);
    const [step, bias] = [0, 1].map((i) => new Float32Array(bytes, floats + 4 * i * width, width));
    const kernel = new Float32Array(new Int8Array(bytes, ints, size));
    for (let i = 0; i < size; i++) kernel[i] *= step[i % width];
    floats += 8 * width, ints += size;
    return [kernel, bias, shape];
  });
  const code = URL.createObjectURL(new Blob([new Uint8Array(bytes, ints)], { type: "application/wasm" }));
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false); // threads need headers that a file does not have
  const kinds = ["", "-simd", "-threaded-simd"].map((kind) => [`tfjs-backend-wasm${kind}.wasm`, code]);
  tf.wasm.setWasmPaths(Object.fromEntries(kinds));
  await tf.setBackend("wasm");
  layers = unpacked.map(([kernel, bias, shape]) => ({ kernel: tf.tensor(kernel, shape), bias: tf.tensor(bias) }));
  for (const layer of layers.slice(0, 13))
    layer.back = tf.tidy(() => tf.transpose(tf.reverse(layer.kernel, [0, 1]), [0, 1, 3, 2]));
}

// What goes into each convolution, and what comes out, for a picture (Float32Array, 0..255).
function activations(pixels) {
  const inputs = [], outputs = [];
  layers.slice(0, 13).forEach(({ kernel: filter, bias }, i) => {
    let x = i ? outputs[i - 1] : tf.sub(tf.tensor(pixels, [1, SIDE, SIDE, 3]), tf.tensor(MEAN));
    if (AFTER_POOLING.has(i)) x = tf.maxPool(x, 2, 2, "valid");
    inputs.push(x);
    outputs.push(tf.fused.conv2d({ x, filter, strides: 1, pad: "same", bias, activation: "relu" }));
  });
  return { inputs, outputs };
}

// Logits (2), CAM (2, 81) and Grad-CAM (2, 81): the gradient of a logit by a feature map is its weight / 81.
function answer(pixels) {
  const { kernel, bias } = layers[13], features = tf.reshape(activations(pixels).outputs[12], [81, 512]);
  const weighted = (weights) => tf.matMul(weights, features, true, true);
  const logits = tf.add(tf.matMul(tf.mean(features, 0, true), kernel), bias);
  return [tf.squeeze(logits), weighted(kernel), tf.relu(weighted(tf.div(kernel, 81)))];
}

// max_k |dS_c/dI_k|: the gradient of logit c goes back through the same convolutions, their kernels turned round.
function saliency(pixels, c) {
  return tf.tidy(() => {
    const { inputs, outputs } = activations(pixels), pooling = { filterSize: 2, strides: 2, pad: "valid" };
    let dy = tf.div(tf.reshape(tf.slice(layers[13].kernel, [0, c], [512, 1]), [1, 1, 1, 512]), 81);
    for (let i = 12; i >= 0; i--) {
      dy = tf.conv2d(tf.mul(dy, tf.step(outputs[i])), layers[i].back, 1, "same");
      if (AFTER_POOLING.has(i))
        dy = tf.engine().runKernel("MaxPoolGrad", { dy, input: outputs[i - 1], output: inputs[i] }, pooling);
    }
    return tf.max(tf.abs(dy), -1).dataSync();
  });
}

// A copy under normal noise of standard deviation sigma x range; sample s has the same noise on every picture.
function noisy(pixels, sigma, sample) {
  const sorted = pixels.slice().sort(), range = sorted.at(-1) - sorted[0], noise = normal(sample, pixels.length);
  return pixels.map((value, i) => value + sigma * range * noise[i]);
}

// Standard normal numbers by Box and Muller, from the generator mulberry32.
function normal(seed, size) {
  const uniform = () => {
    let t = (seed += 0x6d2b79f5);
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
  return new Float32Array(size).map(() => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

// ------------------------------------------------------------------------------ pictures and maps

// A picture squashed to the square as Pillow does it for data.images: blocks averaged, then bicubic, in bytes.
function squash(bitmap) {
  const [across, down] = [bitmap.width, bitmap.height].map((size) => Math.max(1, Math.trunc(size / SIDE / 3)));
  const width = Math.ceil(bitmap.width / across), height = Math.ceil(bitmap.height / down);
  const tall = 64 * down; // the picture comes in strips, so that the largest needs little memory
  const strip = new OffscreenCanvas(bitmap.width, tall).getContext("2d", { willReadFrequently: true });
  const sums = new Uint32Array(3 * width * height);
  strip.fillStyle = "white"; // behind what is transparent
  for (let top = 0; top < bitmap.height; top += tall) {
    strip.fillRect(0, 0, bitmap.width, tall);
    strip.drawImage(bitmap, 0, -top);
    const { data } = strip.getImageData(0, 0, bitmap.width, tall);
    for (let y = top, i = 0; y < Math.min(top + tall, bitmap.height); y++)
      for (let x = 0; x < bitmap.width; x++, i += 4)
        for (let k = 0, at = 3 * (Math.floor(y / down) * width + Math.floor(x / across)); k < 3; k++) sums[at + k] += data[i + k];
  }
  const bytes = sums.map((sum, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const count = Math.min(across, bitmap.width - across * x) * Math.min(down, bitmap.height - down * y);
    return ((sum + (count >> 1)) * Math.floor(2 ** 24 / count)) / 2 ** 24;
  });
  const first = height > SIDE && height - SIDE > 2 * (width - SIDE); // Pillow begins where less is left to do
  const along = (pixels, axis) => resampled(pixels, axis, axis ? bitmap.width / across : bitmap.height / down);
  const pixels = () => tf.tensor(new Float32Array(bytes), [height, width, 3]);
  return tf.tidy(() => (first ? [0, 1] : [1, 0]).reduce(along, pixels()).dataSync());
}

// Bytes (height, width, 3) with SIDE along an axis, 0 or 1, of which the first `extent` are picture.
function resampled(pixels, axis, extent) {
  const size = pixels.shape[axis], scale = extent / SIDE, wide = Math.max(scale, 1), order = axis ? [1, 0, 2] : [0, 1, 2];
  const cubic = (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0);
  const weights = Array.from({ length: SIDE }, (_, x) => {
    const centre = (x + 0.5) * scale, first = Math.trunc(centre - 2 * wide + 0.5), end = Math.trunc(centre + 2 * wide + 0.5);
    const taps = Array.from({ length: size }, (_, i) => (i < first || i >= end ? 0 : cubic(Math.abs(i - centre + 0.5) / wide)));
    const total = taps.reduce((a, b) => a + b);
    return taps.map((tap) => tap / total);
  });
  const sums = tf.matMul(tf.tensor(weights), tf.reshape(tf.transpose(pixels, order), [size, -1]));
  return tf.transpose(tf.reshape(tf.floor(tf.clipByValue(tf.add(sums, 0.5), 0, 255)), [SIDE, -1, 3]), order);
}

// A raw map as gallery.levels has it: (SIDE x SIDE), from 0 to 255; unit i of a coarse one is at pixel 16 i + 7.5.
function levels(values) {
  const fine = values.length > 81, tent = (i, unit) => Math.max(0, 1 - Math.abs(Math.min(Math.max((i - 7.5) / 16, 0), 8) - unit));
  const weight = (i, unit) => tent(Math.floor(i / SIDE), Math.floor(unit / 9)) * tent(i % SIDE, unit % 9);
  const at = (_, i) => Math.max(0, fine ? values[i] : values.reduce((sum, value, unit) => sum + value * weight(i, unit), 0));
  const shown = Float32Array.from({ length: SIDE * SIDE }, at), sorted = shown.slice().sort();
  const place = (fine ? 0.99 : 1) * (sorted.length - 1), below = sorted[Math.floor(place)];
  const most = below + (place % 1) * (sorted[Math.ceil(place)] - below) || sorted.at(-1) || 1;
  return Uint8Array.from(shown, (value) => Math.round(255 * Math.min(value / most, 1)));
}
