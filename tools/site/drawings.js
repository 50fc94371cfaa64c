// What a model returns as pen strokes on a page: the steps of dood_jax/vectorize/drawing.py, and the page's
// formats. A drawing is {source, strokes}, a stroke {points, width, closed, window, kept} in units of the page.

export const PAGE = 1000; // side of the page
const SECONDS = 4; // of an animation,
const PAUSES = 0.15; // and the fraction of it with the pen in the air

// The first `most` drawn strokes of one drawing. `found` holds a function's outputs by name, `model` what
// model.json says of the model, `kept` how many strokes were there before a completion.
export function drawingOf(found, model, { source = "", kept = 0, most = Infinity, hasWindows = false } = {}) {
  const strokes = [];
  const perStroke = found.canvas_points.length / found.presence.length;
  found.presence.forEach((isDrawn, t) => {
    if (!isDrawn || strokes.length >= most) return;
    const given = pairs(found.canvas_points.subarray(t * perStroke, (t + 1) * perStroke));
    const chain = model.cubics.map((weights) =>
      [0, 1].map((axis) => weights.reduce((sum, weight, i) => sum + weight * given[i][axis], 0)),
    );
    const spacing = model.brush === "soft_distance" ? lengthOf(sampled(chain, 12)) / (model.curve_samples - 1) : null;
    const brush = [found.ink_width[t], found.ink_slope[t], found.canvas_slope[0]];
    strokes.push({
      // The model's rasteriser places a pixel at its corner, and ink has it at its middle.
      points: chain.map((point) => point.map((one) => PAGE * (one + 0.5 / model.image_size))),
      width: PAGE * fullWidth(...brush, spacing, model.brush === "splat"),
      closed: false,
      window: hasWindows ? windowOf(found.layout.subarray(4 * t, 4 * t + 4)) : null,
      kept: strokes.length < kept,
    });
  });
  return { source, strokes };
}

// Where a brush leaves half the ink of its middle; `full_width` of dood_jax/vectorize/drawing.py derives it.
function fullWidth(deviation, inkSlope, canvasSlope, spacing, isSplat) {
  const near = 0.02 * deviation;
  const peak = spacing === null ? 1 : ((Math.sqrt(2 * Math.PI) * deviation) / (2 * Math.max(spacing, near))) ** 0.25;
  const norm = isSplat ? 1 : Math.tanh(1 / inkSlope);
  const ink = Math.tanh(peak / inkSlope) / norm;
  const halfInk = canvasSlope * Math.atanh(Math.tanh(ink / canvasSlope) / 2);
  return 2 * deviation * Math.sqrt(2 * Math.log(peak / (inkSlope * Math.atanh(halfInk * norm))));
}

// The corners of a layout's frame (method.md 3.6).
function windowOf([shiftX, shiftY, scale, angle]) {
  const [c, s] = [scale * Math.cos(angle), scale * Math.sin(angle)];
  const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
  return corners.map(([x, y]) => [c * x - s * y + shiftX, s * x + c * y + shiftY].map((one) => (PAGE * (one + 1)) / 2));
}

function pairs(numbers) {
  return Array.from({ length: numbers.length / 2 }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]]);
}

// Points along a chain of cubics, `perCurve` on each, with both of its ends.
function sampled(chain, perCurve) {
  const found = [];
  for (let i = 0; i + 3 < chain.length; i += 3) {
    for (let k = 0; k < perCurve; k++) {
      const t = k / perCurve;
      const weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
      found.push([0, 1].map((axis) => weights.reduce((sum, weight, j) => sum + weight * chain[i + j][axis], 0)));
    }
  }
  return [...found, chain.at(-1)];
}

function lengthOf(points) {
  return points.slice(1).reduce((sum, [x, y], i) => sum + Math.hypot(x - points[i][0], y - points[i][1]), 0);
}

// Points at equal steps of about one unit along a stroke.
function evenly(points) {
  const fine = sampled(points, 16);
  const far = [0];
  for (let i = 1; i < fine.length; i++) far.push(far[i - 1] + lengthOf(fine.slice(i - 1, i + 1)));
  const count = Math.max(Math.ceil(far.at(-1)) + 1, 2);
  let i = 1;
  return Array.from({ length: count }, (_, k) => {
    const at = (far.at(-1) * k) / (count - 1);
    while (i < fine.length - 1 && far[i] < at) i += 1;
    const part = (at - far[i - 1]) / (far[i] - far[i - 1] || 1);
    return [0, 1].map((axis) => fine[i - 1][axis] + part * (fine[i][axis] - fine[i - 1][axis]));
  });
}

const number = (value, decimals = 2) => String(Number(value.toFixed(decimals)) + 0);
const spaced = (point) => point.map((one) => number(one)).join(" ");
const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';

// SVG as dood_jax/vectorize/svg.py writes it; `inside` gives what a path holds.
function svg({ source, strokes }, inside = () => null) {
  const paths = strokes.map(({ points, width }, i) => {
    const curves = [];
    for (let k = 1; k < points.length; k += 3) curves.push(`C ${points.slice(k, k + 3).map(spaced).join(" ")}`);
    const path = `  <path id="stroke-${i + 1}" d="M ${spaced(points[0])} ${curves.join(" ")}" stroke-width="${number(width)}"`;
    const held = inside(i);
    return held ? `${path} pathLength="1" stroke-dasharray="1 2">\n${held.join("\n")}\n  </path>` : `${path} />`;
  });
  const size = `width="${PAGE}" height="${PAGE}" viewBox="0 0 ${PAGE} ${PAGE}"`;
  const group = '<g fill="none" stroke="#000000" stroke-linecap="round" stroke-linejoin="round">';
  const lines = [`<svg xmlns="http://www.w3.org/2000/svg" ${size}>`, ` <title>${source}</title>`, ` ${group}`];
  return `${HEAD}${[...lines, ...paths, " </g>", "</svg>"].join("\n")}\n`;
}

function animatedSvg(drawing) {
  const lengths = drawing.strokes.map(({ points, width }) => lengthOf(sampled(points, 16)) + width);
  const unit = (SECONDS * (1 - PAUSES)) / lengths.reduce((a, b) => a + b, 0);
  const pause = (SECONDS * PAUSES) / lengths.length;
  const begins = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, one) => sum + one * unit + pause, 0));
  return svg(drawing, (i) => {
    const [begin, seconds] = [begins[i], lengths[i] * unit].map((one) => `${number(one, 4)}s`);
    const hidden = `   <set attributeName="visibility" to="hidden" begin="0s" dur="${begin}" />`;
    const grown = `   <animate begin="${begin}" dur="${seconds}" attributeName="stroke-dashoffset" from="1" to="0" />`;
    return i ? [hidden, grown] : [grown];
  });
}

// As dood_jax/vectorize/drawing.schema.json describes it.
function json({ source, strokes }) {
  const round = (one) => Number(one.toFixed(2));
  const records = strokes.map(({ points, width, closed }, i) => ({
    id: `stroke-${i + 1}`, order: i + 1, width: round(width), colour: "#000000", closed, filled: false, confidence: 1,
    control_points: points.map((point) => point.map(round)),
  }));
  return `${JSON.stringify({ source, width: PAGE, height: PAGE, strokes: records }, null, 1)}\n`;
}

// InkML as dood_jax/vectorize/inkml.py writes it: a trace for each stroke, a brush for each width.
function inkml({ source, strokes }) {
  const widths = [...new Set(strokes.map(({ width }) => number(width)))];
  const pixel = 'type="decimal" units="dev"';
  const brushes = widths.map((width, i) => {
    const sides = ["width", "height"].map((side) => `<brushProperty name="${side}" value="${width}" units="dev" />`);
    const rest = '<brushProperty name="color" value="#000000" /><brushProperty name="tip" value="ellipse" />';
    return `<brush xml:id="brush-${i + 1}">${sides.join("")}${rest}</brush>`;
  });
  const resolution = ["X", "Y"].map(
    (name) => `<channelProperty channel="${name}" name="resolution" value="1" units="1/dev" />`,
  );
  const traces = strokes.map(({ points, width }, i) => {
    const names = `id="${i}" xml:id="stroke-${i + 1}" contextRef="#pixels"`;
    const brush = `brushRef="#brush-${widths.indexOf(number(width)) + 1}"`;
    return ` <trace ${names} ${brush}>${evenly(points).map(spaced).join(", ")}</trace>`;
  });
  const about = 'manufacturer="dood_jax" model="vectorize" description="a picture made into strokes"';
  return `${HEAD}${[
    '<ink xmlns="http://www.w3.org/2003/InkML">', " <definitions>", `  <inkSource xml:id="picture" ${about}>`,
    `   <traceFormat xml:id="points"><channel name="X" ${pixel} /><channel name="Y" ${pixel} /></traceFormat>`,
    `   <channelProperties>${resolution.join("")}</channelProperties>`, "  </inkSource>",
    '  <context xml:id="pixels" inkSourceRef="#picture" traceFormatRef="#points" />',
    ...brushes.map((brush) => `  ${brush}`), " </definitions>",
    ` <annotation type="source">${source}</annotation>`, ...traces, "</ink>",
  ].join("\n")}\n`;
}

export const FORMATS = { // name of a format -> its suffix, type and writer
  svg: [".svg", "image/svg+xml", svg],
  "animated-svg": [".animated.svg", "image/svg+xml", animatedSvg],
  inkml: [".inkml", "application/inkml+xml", inkml],
  json: [".json", "application/json", json],
};
