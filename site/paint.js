// A picture under a map, as `plotting.overlay` draws it; the page says which COLOURS.
const colours = COLOURS.match(/.{6}/g).map((c) => [0, 2, 4].map((i) => parseInt(c.substr(i, 2), 16)));

// picture: the canvas' pixels, RGBA; map: a square of levels from 0 to 255, or nothing; strength: 0 to 1. Where
// the map is cold the picture stays as it is, where it is hottest a share of 1 - strength.
function paint(canvas, picture, map, strength) {
  const { width, height } = canvas, side = Math.sqrt(map?.length ?? 0);
  const drawn = new ImageData(new Uint8ClampedArray(picture), width, height);
  for (let y = 0, i = 0; map && y < height; y++)
    for (let x = 0; x < width; x++, i += 4) {
      const level = map[Math.floor((y * side) / height) * side + Math.floor((x * side) / width)];
      const share = (strength * level) / 255;
      for (let k = 0; k < 3; k++) drawn.data[i + k] += share * (colours[level][k] - picture[i + k]);
    }
  canvas.getContext("2d").putImageData(drawn, 0, 0);
}

for (const scale of document.querySelectorAll(".scale i"))
  scale.style.background = `linear-gradient(to right, ${colours.filter((_, i) => i % 51 === 0).map((c) => `rgb(${c})`)})`;
