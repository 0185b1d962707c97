// The live page: takes a picture, asks the Worker for its maps, and draws what comes back.
const page = document.querySelector(".live"), form = page.querySelector("form"), fields = form.elements;
const canvases = [...page.querySelectorAll("canvas")];
const inside = document.getElementById("worker"); // the Worker's text, in the page that has all inside
const MOST = { bytes: 100e6, pixels: 60e6 }; // as in data.images
const now = { number: 0, maps: {} }; // the picture shown: number, bitmap, pixels, logits, maps by class and technique

// ------------------------------------------------------------------------------ the Worker

if (!inside && location.protocol === "file:") location.replace("live_offline.html"); // files may fetch nothing
const worker = new Worker(inside ? URL.createObjectURL(new Blob([inside.textContent])) : "live/worker.js");
worker.onerror = () => say("said", "machine");
worker.postMessage({ network: new URL(page.dataset.network, location).href });
worker.onmessage = ({ data }) => {
  if (data.failed) return say("said", data.failed);
  if (data.number !== now.number) return; // of a picture before
  if (data.logits) answered(data.logits);
  for (const map of data.maps) now.maps[`${map.technique} ${map.class}`] = map;
  if (data.count) fields.stop.hidden = data.count >= fields.n.value;
  if (data.count) page.querySelector("#count").value = data.count;
  draw();
};

// Ask for what is missing; a bitmap goes with a new picture.
function ask(bitmap) {
  const { number, chosen } = now;
  worker.postMessage({ number, bitmap, class: chosen, sigma: Number(fields.sigma.value), n: Number(fields.n.value) });
  fields.stop.hidden = false;
}

function answered(logits) {
  now.logits = logits;
  now.chosen = Number(logits[1] > logits[0]);
  fields.class[now.chosen].checked = true;
  say("said");
  say("answer", now.chosen ? "dog" : "cat", `, ${(100 / (1 + Math.exp(-Math.abs(logits[1] - logits[0])))).toFixed(1)} %`);
}

// ------------------------------------------------------------------------------ a picture comes in

// source: a file or an image. Whatever goes wrong is a sentence.
async function take(source) {
  if (!source) return say("said", "nothing");
  if (source.size === 0) return say("said", "empty");
  if (source.size > MOST.bytes) return say("said", "large");
  let bitmap;
  try {
    bitmap = await createImageBitmap(source);
  } catch {
    return say("said", /hei[cf]/i.test(source.type + source.name) ? "heic" : "unreadable");
  }
  if (bitmap.width * bitmap.height > MOST.pixels) return say("said", "large");
  const shrink = 420 / Math.max(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width, bitmap.height].map((size) => Math.max(1, Math.round(size * shrink)));
  for (const canvas of canvases) Object.assign(canvas, { width, height });
  const context = new OffscreenCanvas(width, height).getContext("2d");
  Object.assign(context, { fillStyle: "white", imageSmoothingQuality: "high" }).fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  Object.assign(now, { number: now.number + 1, pixels: context.getImageData(0, 0, width, height).data });
  Object.assign(now, { maps: {}, logits: null, chosen: undefined });
  say("said", "computing");
  say("answer");
  ask(bitmap);
  draw();
}

for (const input of page.querySelectorAll("[type=file]"))
  input.addEventListener("change", () => take(input.files[0]).then(() => (input.value = "")));
for (const button of page.querySelectorAll(".examples button"))
  button.addEventListener("click", () => take(button.firstElementChild));
addEventListener("paste", ({ clipboardData }) => take(clipboardData.files[0]));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => (event.preventDefault(), take(event.dataTransfer.files[0])));

// ------------------------------------------------------------------------------ what is shown

function draw() {
  if (!now.pixels) return;
  for (const range of form.querySelectorAll("[type=range]")) range.previousElementSibling.value = range.value;
  for (const canvas of canvases) {
    const map = now.maps[`${canvas.id} ${now.chosen}`];
    paint(canvas, now.pixels, map?.levels, fields.strength.value);
    canvas.parentElement.ariaBusy = canvas.id !== "original" && !map;
    const note = canvas.parentElement.querySelector(".where");
    if (note && map) describe(note, map.levels);
  }
}

// In words, for those who do not see it: which ninth of the map is brightest.
function describe(note, levels) {
  const sums = new Array(9).fill(0);
  levels.forEach((level, i) => (sums[3 * Math.floor(i / 7500) + Math.floor((i % 150) / 50)] += level));
  const most = sums.indexOf(Math.max(...sums));
  if (!sums[most]) return say(note, "none");
  say(note, "brightest", " ", sentence(`row${Math.floor(most / 3)}`), ", ", sentence(`column${most % 3}`));
}

// Put a sentence of the page, in both languages, into an element; without a key, nothing.
function say(place, key, ...more) {
  const element = place.replaceChildren ? place : document.getElementById(place);
  element.replaceChildren(...(key ? [sentence(key), ...more] : []));
}

const sentence = (key) => document.getElementById("sentences").content.querySelector(`#${key}`).cloneNode(true);

form.addEventListener("input", ({ target }) => {
  if (target.name === "class") now.chosen = Number(target.value);
  draw();
  if (target.name !== "strength" && now.logits) ask();
});
fields.stop.addEventListener("click", () => {
  worker.postMessage({ stop: true });
  fields.stop.hidden = true;
});
page.querySelector("#language").addEventListener("click", () => (page.lang = page.lang === "en" ? "pt" : "en"));
page.lang = navigator.language.startsWith("pt") ? "pt" : "en";
const first = page.querySelector(".examples img"); // something to look at until there is a picture of one's own
first.decode().then(() => now.number || take(first));
