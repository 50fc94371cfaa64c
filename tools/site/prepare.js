// From pixels to the image that a model reads: the steps of dood_jax/demo/images.py, for drawings on an even
// background. An image is {values, width, height} with rows from the top; ink is 0..1, and full ink 1.

const SHEET = 480; // pixels of the sheet's side
const FILLED = 0.76; // of it is taken by the longer side of what an image shows
const IS_INK = 0.3; // what is above this is drawn
const LEAST_CONTRAST = 0.04; // of ink against paper

// Kernels of Pillow: how far one reaches, and its weight at a distance from the middle.
const BOX = [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)];
const BILINEAR = [1, (x) => Math.max(0, 1 - Math.abs(x))];
const BICUBIC = [2, (x) => {
  const d = Math.abs(x);
  return d < 1 ? (1.5 * d - 2.5) * d * d + 1 : d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
}];

// The ink of RGBA pixels. Fails if nothing stands out from the paper.
export function inkOf({ data, width, height }) {
  const [dark, bright] = lights(data);
  const level = borderLevel(dark, width, height);
  const cube = (one) => one * one * one;
  const isDark = dark.reduce((sum, light) => sum + cube(light - level), 0) <= 0; // strong marks decide
  const paper = isDark ? level : borderLevel(bright, width, height);
  const contrast = isDark
    ? dark.map((light) => (paper - light) / Math.max(paper, 0.1))
    : bright.map((light) => (light - paper) / Math.max(1 - paper, 0.1));
  const full = fullContrast(contrast);
  const floor = Math.min(1.5 * noiseOf(contrast, width), 0.25 * full);
  const values = contrast.map((one) => Math.min(1, Math.max(0, (one - floor) / (full - floor))));
  return { values, width, height };
}

// The least and the greatest of red, green and blue of each pixel, 0..1. Under what is transparent lies
// black if most of what is opaque is bright, else white.
function lights(data) {
  const count = data.length / 4;
  let [sum, opaque] = [0, 0];
  for (let i = 0; i < count; i++) {
    const alpha = data[4 * i + 3];
    sum += (alpha * (data[4 * i] + data[4 * i + 1] + data[4 * i + 2])) / 3;
    opaque += alpha;
  }
  const below = opaque < 255 * count && sum > 127 * opaque ? 0 : 255;
  const [dark, bright] = [new Float32Array(count), new Float32Array(count)];
  for (let i = 0, at = 0; i < count; i++, at += 4) {
    const alpha = data[at + 3] / 255;
    const over = (value) => (below + (value - below) * alpha) / 255;
    dark[i] = over(Math.min(data[at], data[at + 1], data[at + 2]));
    bright[i] = over(Math.max(data[at], data[at + 1], data[at + 2]));
  }
  return [dark, bright];
}

function borderLevel(light, width, height) {
  const border = [...light.subarray(0, width), ...light.subarray(width * (height - 1))];
  for (let y = 1; y < height - 1; y++) border.push(light[y * width], light[y * width + width - 1]);
  return quantile(Float32Array.from(border).sort(), 0.5);
}

function quantile(sorted, fraction) {
  const place = fraction * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}

// The contrast that full ink has: of the page's strongest marks.
function fullContrast(contrast) {
  const sorted = contrast.filter((one) => one > 0).sort();
  const count = contrast.length;
  const few = Math.min(12, Math.max(3, count / 100), 0.3 * count); // pixels that make a mark
  const top = sorted[sorted.length - 1 - Math.round(few)] ?? 0;
  if (top < LEAST_CONTRAST) {
    throw new Error(`nothing is drawn: the strongest mark has a contrast of ${Math.max(0, top).toFixed(3)}`);
  }
  const least = Math.max(0.35 * top, 0.6 * LEAST_CONTRAST);
  return Math.max(quantile(sorted.subarray(sorted.findIndex((one) => one > least)), 0.95), 0.5 * top);
}

// Standard deviation of the paper's noise, by the differences of neighbours.
function noiseOf(contrast, width) {
  const steps = new Float32Array(contrast.length - contrast.length / width);
  for (let i = 1, k = 0; i < contrast.length; i++) if (i % width) steps[k++] = Math.abs(contrast[i] - contrast[i - 1]);
  return quantile(steps.sort(), 0.5) / 0.954;
}

// A square sheet with what is drawn in its middle, as large as fits well.
export function onSheet(ink) {
  const { left, top, right, bottom } = boxOf(ink);
  const [wide, high] = [right - left, bottom - top];
  const drawn = { values: new Float32Array(wide * high), width: wide, height: high };
  for (let y = 0; y < high; y++) {
    const start = (top + y) * ink.width + left;
    drawn.values.set(ink.values.subarray(start, start + wide), y * wide);
  }
  const scale = (FILLED * SHEET) / Math.max(wide, high);
  const [width, height] = [wide, high].map((side) => Math.max(1, Math.round(scale * side)));
  const fitted = resize(drawn, width, height, scale < 1 ? BOX : BICUBIC);
  const sheet = { values: new Float32Array(SHEET * SHEET), width: SHEET, height: SHEET };
  const [x, y] = [width, height].map((side) => Math.floor((SHEET - side) / 2));
  for (let row = 0; row < height; row++) {
    const line = fitted.values.subarray(row * width, (row + 1) * width);
    sheet.values.set(line.map((one) => Math.min(1, Math.max(0, one))), (y + row) * SHEET + x);
  }
  return sheet;
}

function boxOf({ values, width, height }) {
  let [left, top, right, bottom] = [width, height, 0, 0];
  values.forEach((value, i) => {
    if (value <= IS_INK) return;
    const [x, y] = [i % width, Math.floor(i / width)];
    [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
  });
  return { left, top, right, bottom };
}

// The square image of `size` pixels that a model takes of a square of ink (method.md 2.2): it is resized to
// the `source` pixels of the model's data set first, and scaled until its darkest pixel is 1.
export function modelInput(ink, size, source) {
  let image = { ...ink, values: ink.values.map((one) => Math.round(255 * one)) };
  for (const side of [Math.min(source, ink.width), size]) {
    if (side !== image.width) image = resize(image, side, side, BILINEAR, true);
  }
  const most = image.values.reduce((a, b) => Math.max(a, b), 1);
  return image.values.map((one) => one / most);
}

// An image at another size, by one of the kernels; `isWhole` keeps whole numbers 0..255, as Pillow does.
function resize(image, width, height, kernel, isWhole = false) {
  const across = alongRows(image, width, kernel, isWhole);
  return transposed(alongRows(transposed(across), height, kernel, isWhole));
}

function alongRows({ values, width, height }, size, [reach, kernel], isWhole) {
  const found = new Float32Array(size * height);
  const scale = width / size;
  const wider = Math.max(1, scale);
  for (let x = 0; x < size; x++) {
    const middle = (x + 0.5) * scale;
    const first = Math.max(0, Math.floor(middle - reach * wider + 0.5));
    const end = Math.min(width, Math.floor(middle + reach * wider + 0.5));
    const weights = [];
    for (let at = first; at < end; at++) weights.push(kernel((at - middle + 0.5) / wider));
    const total = weights.reduce((a, b) => a + b, 0);
    for (let y = 0; y < height; y++) {
      const sum = weights.reduce((a, weight, i) => a + weight * values[y * width + first + i], 0) / total;
      found[y * size + x] = isWhole ? Math.min(255, Math.max(0, Math.floor(sum + 0.5))) : sum;
    }
  }
  return { values: found, width: size, height };
}

function transposed({ values, width, height }) {
  const found = new Float32Array(values.length);
  values.forEach((value, i) => (found[(i % width) * height + Math.floor(i / width)] = value));
  return { values: found, width: height, height: width };
}
