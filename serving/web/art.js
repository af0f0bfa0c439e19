// Item art without images: the category gives the colours, the item's id motif and composition. Same item, same picture.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 160;
const HEIGHT = 100;
const ANGLES = [25, 50, 75, 145, 170, 200, 230, 255, 285, 315, 345]; // degrees on the OKLCH wheel, the muddy ones left out
const taken = new Map(); // angle -> the category that has it

/** FNV-1a over the text, its bits mixed once more so that near ids look different; 32 bits unsigned. */
function hash(text) {
  let value = 2166136261;
  for (const letter of text) value = Math.imul(value ^ letter.codePointAt(0), 16777619);
  value = Math.imul(value ^ (value >>> 15), 2246822507);
  return (value ^ (value >>> 13)) >>> 0;
}

/** Seeded numbers (mulberry32): `roll(low, high)` is uniform between the two. */
function dice(seed) {
  return (low, high) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let value = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return low + (((value ^ (value >>> 14)) >>> 0) / 4294967296) * (high - low);
  };
}

/** One shape; `tone` t0 (background) to t4 (accent) is coloured by the style sheet, for light and for dark. */
function shape(tag, tone, attributes) {
  const node = document.createElementNS(SVG, tag);
  node.setAttribute("class", tone);
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, typeof value === "number" ? value.toFixed(2) : value);
  }
  return node;
}

const path = (tone, d) => shape("path", tone, { d: d.replace(/\d+\.\d+/g, (number) => Number(number).toFixed(1)) });
const circle = (tone, cx, cy, r) => shape("circle", tone, { cx, cy, r });
const oval = (tone, cx, cy, rx, ry, turn = 0) =>
  shape("ellipse", tone, { cx, cy, rx, ry, transform: `rotate(${turn.toFixed(1)} ${cx.toFixed(1)} ${cy.toFixed(1)})` });

function hills(roll) {
  const layer = (tone, y) => {
    const [a, b, c] = [roll(-16, 16), roll(-16, 16), roll(-10, 10)];
    return path(tone, `M0 ${y} C50 ${y + a} 100 ${y + b} ${WIDTH} ${y + c} V${HEIGHT} H0Z`);
  };
  return [circle("t4", roll(45, 115), roll(26, 42), roll(11, 17)), layer("t1", 56), layer("t2", 70), layer("t3", 84)];
}

function arches(roll) {
  const x = roll(58, 102);
  const widest = roll(42, 52);
  const arch = (tone, r) => path(tone, `M${x - r} ${HEIGHT} V62 A${r} ${r} 0 0 1 ${x + r} 62 V${HEIGHT}Z`);
  const side = x > 80 ? roll(14, 28) : roll(132, 146);
  return [circle("t1", side, roll(24, 40), roll(10, 16)), arch("t1", widest), arch("t3", widest * 0.76),
    arch("t4", widest * 0.52), arch("t0", widest * 0.28)];
}

function pebbles(roll) {
  const tones = roll(0, 1) > 0.5 ? ["t3", "t2", "t4", "t1"] : ["t2", "t3", "t1", "t4"];
  let [width, y] = [roll(36, 44), 90];
  const stones = tones.map((tone) => {
    const height = roll(9, 12.5);
    const stone = oval(tone, 80 + roll(-5, 5), y - height, width, height, roll(-5, 5));
    [width, y] = [width * roll(0.68, 0.8), y - height * 1.86];
    return stone;
  });
  return [oval("t1", 80, 91, 58, 4), ...stones];
}

function flower(roll) {
  const [x, y, count, length] = [roll(66, 94), roll(44, 56), Math.round(roll(6, 10)), roll(25, 31)];
  const petal = (index) => {
    const turn = (360 / count) * index;
    const radians = (turn * Math.PI) / 180;
    return oval(index % 2 ? "t2 soft" : "t3 soft", x + Math.cos(radians) * length * 0.62,
      y + Math.sin(radians) * length * 0.62, length * 0.62, length * 0.3, turn);
  };
  return [circle("t1", x, y, length * 1.55), ...Array.from({ length: count }, (_, index) => petal(index)),
    circle("t4", x, y, length * 0.3)];
}

function tiles(roll) {
  const corners = [[0, 0, 40, 0, 0, 40], [40, 0, 40, 40, 0, 0], [40, 40, 0, 40, 40, 0], [0, 40, 0, 0, 40, 40]];
  const tile = (column, row) => {
    const [cx, cy, sx, sy, ex, ey] = corners[Math.floor(roll(0, 4))];
    const [x, y] = [column * 40, row * 40 - 10];
    const tone = ["t1", "t2", "t3", "t4", "t1"][Math.floor(roll(0, 5))];
    return path(tone, `M${cx + x} ${cy + y} L${sx + x} ${sy + y} A40 40 0 0 1 ${ex + x} ${ey + y}Z`);
  };
  return [0, 1, 2, 3].flatMap((column) => [0, 1, 2].map((row) => tile(column, row)));
}

function vase(roll) {
  const [neck, belly, foot, top] = [roll(6, 10), roll(19, 27), roll(10, 15), roll(44, 52)];
  const leaf = (side, y) => oval(side > 0 ? "t2" : "t3", 80 + side * roll(12, 17), y, roll(11, 14), roll(4.5, 6), side * roll(-52, -28));
  return [circle("t1", roll(52, 108), 50, 38), path("t3", `M79 ${top + 4} L79.4 12 L80.6 12 L81 ${top + 4}Z`),
    leaf(1, roll(34, 38)), leaf(-1, roll(28, 32)), leaf(1, roll(18, 22)), oval("t2", 80, 11, 4, 8),
    path("t4", `M${80 - neck} ${top} C${80 - neck} ${top + 12} ${80 - belly} ${top + 14} ${80 - belly} ${top + 28}
      C${80 - belly} 88 ${80 - foot} 90 ${80 - foot} 94 H${80 + foot} C${80 + foot} 90 ${80 + belly} 88 ${80 + belly} ${top + 28}
      C${80 + belly} ${top + 14} ${80 + neck} ${top + 12} ${80 + neck} ${top}Z`)];
}

function moons(roll) {
  const drop = (tone, x) => circle(`${tone} soft`, x, roll(38, 62), roll(19, 31));
  return [drop("t1", roll(30, 50)), drop("t2", roll(58, 74)), drop("t4", roll(84, 98)), drop("t3", roll(110, 128))];
}

function waves(roll) {
  const rise = roll(7, 12);
  const wave = (tone, y, shift) =>
    path(tone, `M${-shift} ${y} q20 ${-rise * 2} 40 0 t40 0 t40 0 t40 0 t40 0 t40 0 V${HEIGHT + 30} H${-shift}Z`);
  return [circle("t4", roll(50, 110), 32, roll(14, 19)), wave("t1", 46, roll(0, 40)), wave("t2", 61, roll(20, 60)),
    wave("t3", 76, roll(0, 40)), wave("t2", 91, roll(20, 60))];
}

const MOTIFS = [hills, arches, pebbles, flower, tiles, vase, moons, waves];

/** What an item is drawn as: its category; where a shop has none, the last word of the title ("... METAL LANTERN"). */
const kind = (item) => item.category || (item.title || item.item_id).trim().split(/\s+/).at(-1);

/** Colour angle (degrees) of a category, the same wherever it is shown. Its hash names one; where another category has
 * that already, the next free one is taken, so that categories look alike only once there are more of them than angles. */
export function hue(name) {
  const first = hash(name.toLowerCase()) % ANGLES.length;
  const order = [...ANGLES.slice(first), ...ANGLES.slice(0, first)];
  const angle = order.find((free) => (taken.get(free) ?? name) === name) ?? order[0];
  if (!taken.has(angle)) taken.set(angle, name);
  return angle;
}

/** The picture of an item as an SVG element, hidden from screen readers: the title says it all. */
export function art(item) {
  const seed = hash(item.item_id);
  const angle = hue(kind(item));
  const picture = shape("svg", "art", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" });
  picture.style.setProperty("--hue", angle);
  picture.style.setProperty("--accent", angle < 110 || angle > 330 ? 205 : 72);
  picture.append(shape("rect", "t0", { width: WIDTH, height: HEIGHT }), ...MOTIFS[seed % MOTIFS.length](dice(seed)));
  return picture;
}
