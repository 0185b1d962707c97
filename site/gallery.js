// The gallery: a picture under two of its maps, with a line between them.
const form = document.querySelector(".controls"), fields = form.elements, film = document.querySelector(".film");
const stage = document.querySelector(".stage"), divider = document.getElementById("divider");
const sides = ["left", "right"].map((name) => document.getElementById(name));

function show() {
  const number = film.querySelector(":checked").value, picture = PICTURES[number];
  for (const choice of fields.class) choice.disabled = !(choice.value in picture.maps);
  if (!(fields.class.value in picture.maps)) fields.class.value = Object.keys(picture.maps)[0];
  const chosen = fields.class.value, address = `gallery/${number}`;
  const maps = sides.map((side) => {
    const technique = fields[side.id].value, map = picture.maps[chosen][technique];
    side.hidden = !map;
    if (map) side.src = `${address}-${chosen}-${technique}.webp`;
    side.alt = describe(technique, map, chosen);
    return map;
  });
  stage.querySelector("img").src = `${address}.jpg`;
  stage.querySelector("img").alt = picture.alt;
  document.getElementById("caption").textContent = `${picture.title}. ${sides.map((side) => side.alt).join(" · ")}`;
  tabulate(maps, Object.values(picture.maps[chosen])[0]);
}

function describe(technique, map, chosen) {
  if (technique === "original") return WORDS.original;
  if (!map) return `${WORDS[technique]}: no map of this class`;
  return `${WORDS[technique]}, ${WORDS.class} ${WORDS[chosen]}` + (map.empty ? `: ${WORDS.none}` : "");
}

function tabulate(maps, any) {
  const row = (name) => `<tr><th scope="row">${name}</th>${maps.map((map) => `<td>${map?.numbers[name] ?? "–"}</td>`).join("")}</tr>`;
  document.querySelector("#numbers tbody").innerHTML = Object.keys(any.numbers).map(row).join("");
}

function slide() {
  stage.style.setProperty("--line", `${divider.value}%`);
  stage.style.setProperty("--strength", fields.strength.value / 100);
  document.getElementById("percent").textContent = `${fields.strength.value} %`;
}

addEventListener("input", slide);
addEventListener("change", show);
slide();
show();
