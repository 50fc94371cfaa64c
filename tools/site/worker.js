// The models, computed by ONNX Runtime beside the page. It is sent {id, task, ...} and answers {id, said} while
// it works, and at last {id, result} or {id, error}. Tasks: load, draw, run.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";
import { drawingOf } from "./drawings.js";
import { inkOf, modelInput } from "./prepare.js";

const FUNCTIONS = ["infer", "complete", "vary"];
const CANDIDATES = 2; // drawings of an image, of which the nearest is shown
const VARIANTS = 8; // and completions that are shown
const COMPLETIONS = 16; // that are tried; those that add something are shown
const MOST_ADDED = 4; // strokes of a completion
const NOTHING = "the model draws nothing of this; draw more, or choose another model";

let site = null; // what site.json says
let model = null; // the one that is loaded: what its model.json says, its name and sessions

// A file of the site, from the browser's store if it is there, and put into it if not.
async function fetched(address, hear = () => {}) {
  const store = self.caches && (await caches.open(new URL(site.version, self.location).href));
  const stored = await store?.match(address);
  const response = stored ?? (await fetch(address).catch(() => null));
  if (!response?.ok) throw new Error(`${address} cannot be loaded; is there a network?`);
  const parts = [];
  const reader = response.body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    parts.push(next.value);
    hear(next.value.length);
  }
  const content = new Uint8Array(await new Blob(parts).arrayBuffer());
  if (!stored) await store?.put(address, new Response(content)).catch(() => {}); // a full store is no error
  return content;
}

// A file that is stored as gzip, unpacked.
async function unpacked(address, hear) {
  const stream = new Blob([await fetched(`${address}.gz`, hear)]).stream();
  return new Uint8Array(await new Response(stream.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

// The parameters, of which the first bytes of all pairs are stored before the second ones.
async function parameters(address, hear) {
  const stored = await unpacked(address, hear);
  const found = new Uint8Array(stored.length);
  const half = Math.ceil(stored.length / 2);
  for (let i = 0; i < stored.length; i++) found[i] = stored[(i >> 1) + (i & 1) * half];
  return found;
}

async function load(name, say) {
  if (model?.name === name) return;
  site ??= await (await fetch("site.json")).json();
  if (!site.models.includes(name)) throw new Error(`model=${name} is not here; choose from ${site.models.join(", ")}`);
  const description = JSON.parse(new TextDecoder().decode(await fetched(`models/${name}/model.json`)));
  const isFirst = !ort.env.wasm.wasmBinary;
  const total = description.bytes + (isFirst ? site.runtime_bytes : 0);
  let done = 0;
  const hear = (bytes) => {
    done += bytes;
    say(`loading ${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`);
  };
  if (isFirst) {
    ort.env.wasm.numThreads = 1; // more need headers that a plain host does not send
    ort.env.wasm.wasmBinary = (await fetched("runtime/ort-wasm-simd-threaded.wasm", hear)).buffer;
  }
  const store = { path: "parameters.bin", data: await parameters(`models/${name}/parameters.bin`, hear) };
  const options = { graphOptimizationLevel: "basic", logSeverityLevel: 3, externalData: [store] };
  for (const session of Object.values(model?.sessions ?? {})) await session.release();
  model = null;
  const sessions = {};
  for (const one of FUNCTIONS) {
    const program = await unpacked(`models/${name}/${one}.onnx`, hear);
    sessions[one] = await ort.InferenceSession.create(program, options);
  }
  model = { ...description, name, sessions };
  say("getting ready");
  await run("infer", { image: new Float32Array(model.image_size ** 2) }); // the first run is slow
}

// What a function returns, by name. Inputs that are not given are noise, of `random` or in the middle of its
// distribution, or have their default.
async function run(name, given, random = null) {
  const feeds = {};
  for (const port of model.inputs[name]) {
    const count = port.shape.reduce((a, b) => a * b, 1);
    const values = given[port.name] ?? filled(port, count, random);
    const isWhole = port.dtype === "int32";
    feeds[port.name] = new ort.Tensor(port.dtype, (isWhole ? Int32Array : Float32Array).from(values), port.shape);
  }
  const found = await model.sessions[name].run(feeds);
  return Object.fromEntries(Object.entries(found).map(([key, { data }]) => [key, data]));
}

function filled({ distribution, default: value }, count, random) {
  if (!distribution) return new Float32Array(count).fill(value);
  const isUniform = distribution.startsWith("uniform");
  if (!random) return new Float32Array(count).fill(isUniform ? 0.5 : 0);
  return Float32Array.from({ length: count }, isUniform ? random : () => normal(random));
}

function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

// Uniform numbers in 0..1 of a seed (mulberry32).
function generator(seed) {
  let state = (seed * 0x9e3779b9) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// A drawing of an image. The first of seed 0 has the noise in the middle of its distribution.
async function inferred(image, random, isFirst) {
  const found = await run("infer", { image }, isFirst ? null : random);
  return { ...found, error: errorOf(image, lastCanvas(found)) };
}

function lastCanvas({ canvases }) {
  return canvases.subarray(canvases.length - model.image_size ** 2);
}

// Sum of |image - canvas|, the canvas on the grid that the image was enlarged from (method.md 4.1).
function errorOf(image, canvas) {
  const shown = model.projection ? projected(projected(canvas)).map((one) => Math.min(1, Math.max(0, one))) : canvas;
  return image.reduce((sum, one, i) => sum + Math.abs(one - shown[i]), 0);
}

// Columns multiplied by the projection, and the result transposed.
function projected(image) {
  const size = model.image_size;
  return Float32Array.from(image, (_, i) => {
    const [x, y] = [Math.floor(i / size), i % size];
    return model.projection[y].reduce((sum, weight, k) => sum + weight * image[k * size + x], 0);
  });
}

// The drawing as inputs of another function.
function asInputs(drawn) {
  const ofStrokes = ["presence", "layout", "control_points"];
  return Object.fromEntries(
    Object.entries(drawn).map(([name, values]) => [`${ofStrokes.includes(name) ? "strokes" : "brush"}_${name}`, values]),
  );
}

async function best(image, random, seed, say) {
  const all = [];
  for (let i = 0; i < CANDIDATES; i++) {
    say(`drawing ${i + 1} of ${CANDIDATES}`);
    all.push(await inferred(image, random, seed === 0 && i === 0));
  }
  const found = all.reduce((a, b) => (b.error < a.error ? b : a));
  if (!found.presence.some((one) => one)) throw new Error(NOTHING);
  return found;
}

const KINDS = {
  async redraw(image, random, seed, say) {
    const found = await best(image, random, seed, say);
    const source = `redrawn by ${model.name}`;
    return { drawings: [drawingOf(found, model, { source, hasWindows: true })], l1: found.error };
  },

  async vary(image, random, seed, say) {
    const drawings = [];
    for (let i = 0; i < VARIANTS; i++) {
      say(`drawing ${i + 1} of ${VARIANTS}`);
      const found = await inferred(image, random, seed === 0 && i === 0);
      if (!found.presence.some((one) => one)) continue;
      const varied = await run("vary", asInputs(found), random);
      drawings.push(drawingOf(varied, model, { source: `varied by ${model.name}` }));
    }
    if (!drawings.length) throw new Error(NOTHING);
    return { drawings };
  },

  async complete(image, random, seed, say) {
    const found = await best(image, random, seed, say);
    const kept = found.presence.reduce((a, b) => a + b, 0);
    const spread = Object.entries(model.spread).map(([name, value]) => [`spread_${name}`, [value]]);
    const given = { ...asInputs(found), num_prefix_strokes: [kept], ...Object.fromEntries(spread) };
    const [source, most] = [`completed by ${model.name}`, kept + MOST_ADDED];
    const drawings = [];
    for (let i = 0; i < COMPLETIONS && drawings.length < VARIANTS; i++) {
      say(`completing, ${i + 1} of ${COMPLETIONS}`);
      const whole = await run("complete", given, random);
      const drawing = drawingOf(whole, model, { source, kept, most, hasWindows: true });
      if (drawing.strokes.length > kept) drawings.push(drawing);
    }
    if (!drawings.length) throw new Error("the model finds nothing to add; draw less of it, or choose another model");
    return { drawings };
  },
};

const TASKS = {
  load: async () => null,
  run: ({ name, inputs }) => run(name, inputs),
  async draw({ kind, pixels, seed }, say) {
    const started = performance.now();
    const image = modelInput(inkOf(pixels), model.image_size, model.source_size ?? Infinity);
    const answer = await KINDS[kind](image, generator(seed), seed, say);
    return { kind, nats: null, l1: null, ...answer, seconds: (performance.now() - started) / 1000 };
  },
};

let turn = Promise.resolve();
self.onmessage = ({ data }) => {
  const { id, task, model: name } = data;
  const say = (said) => self.postMessage({ id, said });
  turn = turn.then(async () => {
    try {
      await load(name, say);
      self.postMessage({ id, result: await TASKS[task](data, say) });
    } catch (error) {
      self.postMessage({ id, error: error.message ?? String(error) });
    }
  });
};
