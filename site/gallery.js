// The gallery: one file of data per picture, drawn on two canvases with a line between them.
const form = document.querySelector(".controls"), film = document.querySelector(".film");
const sides = ["left", "right"].map((name) => document.getElementById(name)), side = sides[0].width;
const divider = document.getElementById("divider");
const asked = new URLSearchParams(location.hash.slice(1)); // a view has an address to be handed on
const pictures = {}; // what was loaded: number -> { pixels, title, maps }

// Called by gallery/<number>.js, which a page opened from a file can load where it may not fetch.
async function received(number, data) {
  data.pixels = await pixels(data.image);
  for (const map of data.maps) map.levels = (await pixels(map.map)).filter((_, i) => i % 4 === 0);
  pictures[number] = data;
  show();
}

// The pixels of an image's address, (side x side) RGBA, each of a smaller image repeated.
async function pixels(address) {
  const image = Object.assign(new Image(), { src: address });
  await image.decode();
  const canvas = new OffscreenCanvas(side, side).getContext("2d");
  canvas.imageSmoothingEnabled = false;
  canvas.drawImage(image, 0, 0, side, side);
  return canvas.getImageData(0, 0, side, side).data;
}

function load(number) {
  if (number in pictures) return show();
  document.head.append(Object.assign(document.createElement("script"), { src: `gallery/${number}.js` }));
}

function show() {
  const number = film.querySelector(":checked").value, picture = pictures[number];
  if (!picture) return;
  const known = new Set(picture.maps.map((map) => map.class));
  for (const choice of form.elements.class) choice.disabled = !known.has(choice.value);
  if (!known.has(form.elements.class.value)) form.elements.class.value = [...known][0];
  const chosen = form.elements.class.value, strength = form.elements.strength.value / 100;
  const maps = sides.map((canvas) => {
    const technique = form.elements[canvas.id].value;
    const map = picture.maps.find((m) => m.technique === technique && m.class === chosen);
    paint(canvas, picture.pixels, map?.levels, strength);
    canvas.ariaLabel = describe(technique, map, chosen);
    return map;
  });
  document.getElementById("percent").textContent = `${form.elements.strength.value} %`;
  document.getElementById("caption").textContent =
    `${picture.title}. ${sides.map((canvas) => canvas.ariaLabel).join(" · ")}`;
  tabulate(maps);
  const address = new URLSearchParams({ picture: number, class: chosen });
  for (const canvas of sides) address.set(canvas.id, form.elements[canvas.id].value);
  history.replaceState(null, "", `#${address}`);
}

function describe(technique, map, chosen) {
  const word = WORDS[technique];
  if (technique === "original") return word;
  if (!map) return `${word}: no map of this class`;
  return `${word}, ${WORDS.class} ${WORDS[chosen]}` + (map.empty ? `: ${WORDS.none}` : "");
}

function tabulate(maps) {
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const rows = [["probability", (map) => percent(map.probability)], ["logit", (map) => map.logit.toFixed(2)]];
  for (const [region, area] of Object.entries(maps.find((map) => map)?.area ?? {}))
    rows.push([`energy on the ${region}, area ${percent(area)}`, (map) => percent(map.energy[region])]);
  const cells = (value) => maps.map((map) => `<td>${map ? value(map) : "–"}</td>`).join("");
  document.querySelector("#numbers tbody").innerHTML =
    rows.map(([name, value]) => `<tr><th scope="row">${name}</th>${cells(value)}</tr>`).join("");
}

const divide = () => sides[1].parentElement.style.setProperty("--line", `${divider.value}%`);
divider.addEventListener("input", divide);
form.addEventListener("input", show);
form.addEventListener("submit", (event) => event.preventDefault());
film.addEventListener("change", (event) => load(event.target.value));
for (const { id } of sides) if (WORDS[asked.get(id)]) form.elements[id].value = asked.get(id);
if (asked.has("class")) form.elements.class.value = asked.get("class");
const first = [...film.querySelectorAll("input")].find((input) => input.value === asked.get("picture"));
if (first) first.checked = true;
divide();
load(film.querySelector(":checked").value);
