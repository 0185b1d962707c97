// The live page: takes a picture, asks the Worker for its maps, and draws what comes back.
const page = document.querySelector(".live"), form = page.querySelector("form"), fields = form.elements;
const canvases = page.querySelectorAll("canvas"), sentences = document.getElementById("sentences").content;
const colours = COLOURS.match(/.{6}/g).map((c) => [0, 2, 4].map((i) => parseInt(c.substr(i, 2), 16)));
const inside = document.getElementById("worker"); // the Worker's text, in the page that has all inside
const now = { number: 0, maps: {} }; // the picture shown: number, logits, chosen class, maps

if (!inside && location.protocol === "file:") location.replace("live_offline.html"); // files may fetch nothing
const worker = new Worker(inside ? URL.createObjectURL(new Blob([inside.textContent])) : "live/worker.js");
worker.onerror = () => say("said", "machine");
worker.postMessage({ network: new URL(page.dataset.network, location).href });
worker.onmessage = ({ data: { failed, number, logits, maps, count } }) => {
  if (failed) return say("said", failed);
  if (number !== now.number) return; // of a picture before
  for (const map of maps) now.maps[`${map.technique} ${map.class}`] = map;
  if (logits) {
    Object.assign(now, { logits, chosen: Number(logits[1] > logits[0]) });
    fields.class[now.chosen].checked = true;
    const probability = 1 / (1 + Math.exp(-Math.abs(logits[1] - logits[0])));
    say("answer", now.chosen ? "dog" : "cat", `, ${(100 * probability).toFixed(1)} %`);
    say("said");
  }
  if (count) page.querySelector("#count").value = count;
  fields.stop.hidden = count >= fields.n.value;
  draw();
};

// Ask for all that is not there yet; a bitmap is that of a new picture.
function ask(bitmap) {
  const [sigma, n] = [fields.sigma, fields.n].map((range) => Number(range.value));
  worker.postMessage({ number: now.number, bitmap, class: now.chosen, sigma, n });
}

// A file or an image comes in. Whatever is wrong with it is a sentence.
async function take(source) {
  if (!source) return say("said", "nothing");
  if (source.size === 0) return say("said", "empty");
  if (source.size > 100e6) return say("said", "large"); // the limits of data.images
  const bitmap = await createImageBitmap(source).catch(() => null);
  if (!bitmap) return say("said", /hei[cf]/i.test(source.type + source.name) ? "heic" : "unreadable");
  if (bitmap.width * bitmap.height > 60e6) return say("said", "large");
  form.style.setProperty("--shape", bitmap.width / bitmap.height);
  URL.revokeObjectURL(now.address);
  now.address = source.src ?? URL.createObjectURL(source);
  for (const image of form.querySelectorAll(".stage img")) image.src = now.address;
  Object.assign(now, { number: now.number + 1, maps: {}, logits: null, chosen: undefined });
  say("said", "computing");
  say("answer");
  ask(bitmap);
  draw();
}

function draw() {
  for (const range of form.querySelectorAll("[type=range]")) range.previousElementSibling.textContent = range.value;
  form.style.setProperty("--strength", fields.strength.value);
  for (const canvas of canvases) {
    const map = now.maps[`${canvas.id} ${now.chosen}`];
    canvas.closest("figure").ariaBusy = !map;
    if (!map) continue;
    paint(canvas, map.levels);
    describe(document.getElementById(`where-${canvas.id}`), map.levels);
  }
}

// As gallery.layer does it: the colder, the less is seen of the map.
function paint(canvas, levels) {
  const image = new ImageData(canvas.width, canvas.height);
  levels.forEach((level, i) => image.data.set([...colours[level], level], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// In words, for those who do not see it: which ninth of the map is brightest.
function describe(note, levels) {
  const sums = new Array(9).fill(0);
  levels.forEach((level, i) => (sums[3 * Math.floor(i / 7500) + Math.floor((i % 150) / 50)] += level));
  const most = sums.indexOf(Math.max(...sums));
  if (!sums[most]) return say(note.id, "none");
  say(note.id, "brightest", " ", sentence(`row${Math.floor(most / 3)}`), ", ", sentence(`column${most % 3}`));
}

// Put a sentence of the page, in both languages, into an element, and what follows it; without a key, nothing.
const sentence = (key) => sentences.querySelector(`#${key}`).cloneNode(true);
const say = (id, key, ...more) => document.getElementById(id).replaceChildren(...(key ? [sentence(key), ...more] : []));

for (const input of page.querySelectorAll("[type=file]"))
  input.addEventListener("change", () => take(input.files[0]).then(() => (input.value = "")));
for (const button of page.querySelectorAll(".examples button"))
  button.addEventListener("click", () => take(button.firstElementChild));
addEventListener("paste", ({ clipboardData }) => take(clipboardData.files[0]));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => (event.preventDefault(), take(event.dataTransfer.files[0])));
form.addEventListener("input", ({ target }) => {
  if (target.name === "class") now.chosen = Number(target.value);
  draw();
  if (target.name !== "strength" && now.logits) ask();
});
fields.stop.addEventListener("click", () => {
  fields.n.value = page.querySelector("#count").value; // what there is, is enough
  draw();
  ask();
});
page.querySelector("#language").addEventListener("click", () => (page.lang = page.lang === "en" ? "pt" : "en"));
page.lang = navigator.language.startsWith("pt") ? "pt" : "en";
const first = page.querySelector(".examples img"); // something to look at until there is a picture of one's own
first.decode().then(() => now.number || take(first));
