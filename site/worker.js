// The pooling network in a Worker: what utils.attention computes, by TensorFlow.js on WebAssembly.
const SIDE = 150, MEAN = [123.68, 116.779, 103.939];
const WIDTHS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]; // of the convolutions
const AFTER_POOLING = new Set([2, 4, 7, 10]);
let job = 0; // the number of the last request: who finds another one stops
let ready, picture, head, convolutions;

// A request: { network } to fetch and build it, { stop }, or { number, bitmap, class, sigma, n }, whose
// bitmap is a new picture and may be left out for the last one.
onmessage = async ({ data: ask }) => {
  const mine = ++job;
  try {
    if (ask.network) ready = load(ask.network);
    if (ask.bitmap) picture = { pixels: squash(ask.bitmap), number: ask.number, saliency: {}, samples: {} };
    if (ask.network || ask.stop || !(await ready)) return;
    for (const found of explain(ask)) {
      postMessage({ number: picture.number, ...found });
      await new Promise((done) => setTimeout(done)); // here newer requests come in
      if (mine !== job) return;
    }
  } catch (error) {
    console.warn(error.message);
    postMessage({ failed: error.name === "TypeError" ? "network" : "machine" });
  }
};

// What there is to show of a picture, one after the other: the answer, CAM, Grad-CAM, saliency, SmoothGrad.
function* explain({ class: chosen, sigma, n }) {
  if (!picture.logits) {
    const [logits, cam, gradCam] = tf.tidy(() => answer(picture.pixels).map((tensor) => tensor.arraySync()));
    picture.logits = logits;
    yield { logits, maps: [0, 1].flatMap((c) => [map("cam", c, cam[c]), map("grad_cam", c, gradCam[c])]) };
  }
  const c = chosen ?? Number(picture.logits[1] > picture.logits[0]);
  picture.saliency[c] ??= saliency(picture.pixels, c);
  yield { maps: [map("saliency", c, picture.saliency[c])] };
  const samples = (picture.samples[`${c} ${sigma}`] ??= []);
  for (let count = Math.max(1, Math.min(samples.length, n)); count <= n; count++) {
    if (samples.length < count) samples.push(saliency(noisy(picture.pixels, sigma, samples.length), c));
    const mean = samples[0].map((_, i) => samples.slice(0, count).reduce((sum, map) => sum + map[i], 0) / count);
    yield { maps: [map("smoothgrad", c, mean)], count };
  }
}

const map = (technique, c, values) => ({ technique, class: c, values, levels: levels(values) });

// ------------------------------------------------------------------------------ the network

// Fetch the network, or take it from the browser's cache; it lies there under an address of its own.
async function load(address) {
  const cache = address.startsWith("http") && (await self.caches?.open("network"));
  let packed = await cache?.match?.(address);
  if (!packed) {
    packed = await fetch(address);
    if (!packed.ok) throw new TypeError(`${address}: ${packed.status}`);
    if (cache) await Promise.all([...(await cache.keys()).map((old) => cache.delete(old)), cache.put(address, packed.clone())]);
  }
  await build(await new Response(packed.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
  return true;
}

// From the bytes that site/live.py packs: steps and biases, kernels in 8 bits, and TensorFlow's WebAssembly.
async function build(bytes) {
  const widths = [3, ...WIDTHS, 2], shapes = widths.slice(1).map((width, i) => [3, 3, widths[i], width]);
  shapes[13] = [512, 2];
  let float = 0, byte = 8 * shapes.reduce((sum, shape) => sum + shape.at(-1), 0);
  const packed = shapes.map((shape) => {
    const width = shape.at(-1), size = shape.reduce((a, b) => a * b);
    const [step, bias] = [0, 1].map((i) => new Float32Array(bytes, float + 4 * i * width, width));
    const kernel = new Float32Array(new Int8Array(bytes, byte, size));
    for (let i = 0; i < size; i++) kernel[i] *= step[i % width];
    float += 8 * width, byte += size;
    return { kernel, bias, shape };
  });
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false); // it needs headers that a file does not have
  const code = URL.createObjectURL(new Blob([new Uint8Array(bytes, byte)], { type: "application/wasm" }));
  const kinds = ["", "-simd", "-threaded-simd"].map((kind) => [`tfjs-backend-wasm${kind}.wasm`, code]);
  tf.wasm.setWasmPaths(Object.fromEntries(kinds));
  await tf.setBackend("wasm");
  const layers = packed.map(({ kernel, bias, shape }) => ({ kernel: tf.tensor(kernel, shape), bias: tf.tensor(bias) }));
  head = layers.pop();
  convolutions = layers;
  for (const layer of layers) layer.back = tf.tidy(() => tf.transpose(tf.reverse(layer.kernel, [0, 1]), [0, 1, 3, 2]));
}

// The outputs of all convolutions for a picture, as Float32Array of 0..255.
function activations(pixels) {
  const outputs = [];
  let x = tf.sub(tf.tensor(pixels, [1, SIDE, SIDE, 3]), tf.tensor(MEAN));
  convolutions.forEach(({ kernel, bias }, i) => {
    if (AFTER_POOLING.has(i)) x = tf.maxPool(x, 2, 2, "valid");
    x = tf.fused.conv2d({ x, filter: kernel, strides: 1, pad: "same", bias, activation: "relu" });
    outputs.push(x);
  });
  return outputs;
}

// Logits (2), CAM (2, 81) and Grad-CAM (2, 81). The gradient of a logit by a feature map is its weight / 81.
function answer(pixels) {
  const features = tf.reshape(activations(pixels).at(-1), [81, 512]);
  const logits = tf.add(tf.squeeze(tf.matMul(tf.mean(features, 0, true), head.kernel)), head.bias);
  const weighted = (weights) => tf.matMul(weights, features, true, true);
  return [logits, weighted(head.kernel), tf.relu(weighted(tf.div(head.kernel, 81)))];
}

// max_k |dS_c/dI_k|: the gradient of logit c goes back through the same convolutions, flipped.
function saliency(pixels, c) {
  return tf.tidy(() => {
    const outputs = activations(pixels), passed = (gradient, output) => tf.mul(gradient, tf.step(output));
    let gradient = passed(tf.div(tf.slice(tf.transpose(head.kernel), [c, 0], [1, 512]), 81), outputs[12]);
    for (let i = 12; i >= 0; i--) {
      gradient = tf.conv2d(gradient, convolutions[i].back, 1, "same");
      if (i) gradient = AFTER_POOLING.has(i) ? unpooled(gradient, outputs[i - 1]) : passed(gradient, outputs[i - 1]);
    }
    return tf.max(tf.abs(gradient), -1).dataSync();
  });
}

// The gradient before 2 x 2 max pooling and ReLU: to the first of the largest of each window, as TensorFlow does.
function unpooled(gradient, output) {
  const [, height, width, depth] = output.shape, [, rows, columns] = gradient.shape;
  const from = gradient.dataSync(), values = output.dataSync(), to = new Float32Array(values.length);
  for (let y = 0, i = 0; y < rows; y++)
    for (let x = 0; x < columns; x++)
      for (let k = 0, at = (2 * y * width + 2 * x) * depth; k < depth; k++, i++, at++) {
        let best = at;
        for (const next of [at + depth, at + width * depth, at + (width + 1) * depth])
          if (values[next] > values[best]) best = next;
        if (values[best] > 0) to[best] = from[i];
      }
  return tf.tensor(to, [1, height, width, depth]);
}

// A copy under normal noise of standard deviation sigma x range; sample s has the same noise on every picture.
function noisy(pixels, sigma, sample) {
  const scale = sigma * (pixels.reduce((a, b) => Math.max(a, b)) - pixels.reduce((a, b) => Math.min(a, b)));
  const noise = normal(sample, pixels.length);
  return pixels.map((value, i) => value + scale * noise[i]);
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

// A picture squashed to the square as Pillow does it for data.images: whole blocks averaged, then bicubic, in bytes.
function squash(bitmap) {
  const [across, down] = [bitmap.width, bitmap.height].map((size) => Math.max(1, Math.trunc(size / SIDE / 3)));
  const width = Math.ceil(bitmap.width / across), height = Math.ceil(bitmap.height / down);
  const strip = new OffscreenCanvas(bitmap.width, down).getContext("2d", { willReadFrequently: true });
  const blocks = new Uint8Array(width * height * 3);
  strip.fillStyle = "white"; // behind what is transparent
  for (let y = 0, i = 0; y < height; y++) {
    strip.fillRect(0, 0, bitmap.width, down);
    strip.drawImage(bitmap, 0, -y * down);
    const { data } = strip.getImageData(0, 0, bitmap.width, down);
    const rows = Math.min(down, bitmap.height - y * down);
    for (let x = 0; x < width; x++) {
      const columns = Math.min(across, bitmap.width - x * across), count = rows * columns;
      for (let k = 0; k < 3; k++, i++) {
        let sum = count >> 1;
        for (let v = 0; v < rows; v++)
          for (let u = 0; u < columns; u++) sum += data[4 * (v * bitmap.width + x * across + u) + k];
        blocks[i] = (sum * Math.floor(2 ** 24 / count)) / 2 ** 24;
      }
    }
  }
  const turned = resampled(blocks, width, height, bitmap.width / across);
  return new Float32Array(resampled(turned, height, SIDE, bitmap.height / down));
}

// The rows of a picture (height, width, 3), resampled to SIDE pixels and written as columns: (SIDE, height, 3).
function resampled(pixels, width, height, extent) {
  const result = new Uint8ClampedArray(SIDE * height * 3), scale = extent / SIDE, wide = Math.max(scale, 1);
  const cubic = (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0);
  for (let x = 0; x < SIDE; x++) {
    const centre = (x + 0.5) * scale, first = Math.max(0, Math.trunc(centre - 2 * wide + 0.5));
    const count = Math.min(width, Math.trunc(centre + 2 * wide + 0.5)) - first;
    const taps = Array.from({ length: count }, (_, i) => cubic(Math.abs(i + first - centre + 0.5) / wide));
    const total = taps.reduce((a, b) => a + b), weights = taps.map((tap) => Math.round((tap / total) * 2 ** 22));
    for (let y = 0; y < height; y++)
      for (let k = 0; k < 3; k++) {
        const sum = weights.reduce((part, w, i) => part + w * pixels[3 * (y * width + first + i) + k], 2 ** 21);
        result[3 * (x * height + y) + k] = Math.floor(sum / 2 ** 22);
      }
  }
  return result;
}

// A raw map as the figures show it, (SIDE x SIDE) from 0 to 255: as gallery.levels.
function levels(map) {
  const fine = map.length === SIDE * SIDE;
  const place = (i) => Math.min(Math.max((i - 7.5) / 16, 0), 8); // of a pixel among the 9 units of a side
  const large = fine ? map : Float32Array.from({ length: SIDE * SIDE }, (_, i) => {
    const [y, x] = [place(Math.floor(i / SIDE)), place(i % SIDE)], [top, left] = [y, x].map((v) => Math.min(Math.floor(v), 7));
    const row = (r) => map[9 * r + left] * (1 - x + left) + map[9 * r + left + 1] * (x - left);
    return row(top) * (1 - y + top) + row(top + 1) * (y - top);
  });
  const sorted = Float32Array.from(large, (v) => Math.max(v, 0)).sort(), at = (fine ? 0.99 : 1) * (sorted.length - 1);
  const below = sorted[Math.floor(at)], most = below + (at % 1) * (sorted[Math.ceil(at)] - below) || sorted.at(-1) || 1;
  return Uint8Array.from(large, (value) => Math.round(255 * Math.min(Math.max(value / most, 0), 1)));
}
