// The gallery: one file of data per picture, drawn on two canvases with a line between them.
const form = document.querySelector(".controls");
const film = document.querySelector(".film");
const classes = document.getElementById("classes");
const sides = ["left", "right"].map((name) => document.getElementById(name));
const side = sides[0].width;
const asked = new URLSearchParams(location.hash.slice(1)); // a view has an address to be handed on
const pictures = {}; // what was loaded: number -> { pixels, title, maps }

// ------------------------------------------------------------------------------ the data

// Called by gallery/<number>.js, which a page opened from a file can load where it may not fetch.
async function received(number, data) {
  data.pixels = await pixels(data.image);
  for (const map of data.maps) map.levels = (await pixels(map.map)).filter((_, i) => i % 4 === 0);
  pictures[number] = data;
  show();
}

// The pixels of an image's address, (side x side) RGBA, each of a smaller image repeated.
async function pixels(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = new OffscreenCanvas(side, side).getContext("2d");
  canvas.imageSmoothingEnabled = false;
  canvas.drawImage(image, 0, 0, side, side);
  return canvas.getImageData(0, 0, side, side).data;
}

function load(number) {
  if (number in pictures) return show();
  const script = document.createElement("script");
  script.src = `gallery/${number}.js`;
  document.head.append(script);
}

// ------------------------------------------------------------------------------ the picture

function show() {
  const number = film.querySelector(":checked").value;
  const picture = pictures[number];
  if (!picture) return;
  offer(picture);
  const chosen = form.elements.class.value;
  const strength = form.elements.strength.value / 100;
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

// The classes that there are maps of, as radio buttons; the choice stays where it can.
function offer(picture) {
  const known = [...new Set(picture.maps.map((map) => map.class))];
  const before = form.elements.class?.value ?? asked.get("class");
  if (known.join() === classes.dataset.known) return;
  classes.dataset.known = known.join();
  classes.querySelectorAll("label").forEach((label) => label.remove());
  for (const name of known) {
    const label = document.createElement("label");
    const button = Object.assign(document.createElement("input"), {
      type: "radio", name: "class", value: name, checked: name === (known.includes(before) ? before : known[0]),
    });
    label.append(button, ` ${WORDS[name]}`);
    classes.append(label);
  }
}

function tabulate(maps) {
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const rows = [
    ["probability", (map) => percent(map.probability)],
    ["logit", (map) => map.logit.toFixed(2)],
    ...Object.entries(maps.find((map) => map)?.area ?? {}).map(([region, area]) => [
      `energy on the ${region}, area ${percent(area)}`, (map) => percent(map.energy[region]),
    ]),
  ];
  const body = document.querySelector("#numbers tbody");
  body.replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement("tr");
    const head = Object.assign(document.createElement("th"), { scope: "row", textContent: name });
    row.append(head, ...maps.map((map) =>
      Object.assign(document.createElement("td"), { textContent: map ? value(map) : "–" })));
    return row;
  }));
}

// ------------------------------------------------------------------------------ the hands

const divider = document.getElementById("divider");
const divide = () => sides[1].parentElement.style.setProperty("--line", `${divider.value}%`);

divider.addEventListener("input", divide);
form.addEventListener("input", show);
form.addEventListener("submit", (event) => event.preventDefault());
film.addEventListener("change", (event) => load(event.target.value));

for (const { id } of sides) if (WORDS[asked.get(id)]) form.elements[id].value = asked.get(id);
const first = [...film.querySelectorAll("input")].find((input) => input.value === asked.get("picture"));
if (first) first.checked = true;
divide();
load(film.querySelector(":checked").value);
