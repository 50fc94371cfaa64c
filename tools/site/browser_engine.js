// The engine of the static site: computes in the browser, in worker.js. What an engine is, server_engine.js says
// (dood_jax/demo/static).

import { FORMATS } from "./drawings.js";
import { inkOf, onSheet } from "./prepare.js";

const MOST_PIXELS = 20_000_000;
const LEAST_SIDE = 3;
const LARGEST = 1600; // pixels of the longer side at which a file is read
const TRACE = "Trace needs the server of this page: in a clone of dood_jax, pip install '.[demo]' && dood demo";

class BrowserEngine {
  formats = Object.keys(FORMATS);
  said = "getting ready"; // what the worker does
  waiting = new Map(); // number of a request -> how it ends
  last = 0; // number of the last one

  constructor() {
    navigator.serviceWorker?.register("service_worker.js"); // for the day without a network
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = () => this.fail("this browser cannot compute the models; use one of this year");
    this.site = fetch("site.json").then((response) => response.json());
    this.site.then(
      ({ models }) => this.ask("load", models[0]).catch(({ message }) => (this.said = message)),
      () => (this.said = "no answer from the host"),
    );
  }

  // Asks the worker; see there for its tasks.
  ask(task, model, given = {}) {
    this.last += 1;
    this.worker.postMessage({ id: this.last, task, model, ...given });
    return new Promise((resolve, reject) => this.waiting.set(this.last, { resolve, reject }));
  }

  hear({ id, said, result, error }) {
    if (said) return void (this.said = said);
    this.said = "";
    if (error) this.waiting.get(id).reject(new Error(error));
    else this.waiting.get(id).resolve(result);
    this.waiting.delete(id);
  }

  fail(message) {
    for (const { reject } of this.waiting.values()) reject(new Error(message));
    this.waiting.clear();
    this.said = message;
  }

  async status() {
    const { models } = await this.site.catch(() => ({ models: [] }));
    const state = this.waiting.size ? "busy" : this.said ? "lost" : "";
    return { models, line: this.said || "ready", state, hasExamples: models.length > 0 };
  }

  // What a function of a model returns for inputs by name; see docs/export.md.
  run(model, name, inputs) {
    return this.ask("run", model, { name, inputs });
  }

  async draw(kind, model, seed, sheet) {
    if (kind === "trace") throw new Error(TRACE);
    return this.ask("draw", model, { kind, seed, pixels: sheet.pixels() });
  }

  async sheetOf(file) {
    const { values, width, height } = onSheet(inkOf(await pixelsOf(file)));
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const shown = new ImageData(width, height);
    shown.data.set(Array.from(values, (ink) => Array(3).fill(255 * (1 - ink)).concat(255)).flat());
    canvas.getContext("2d").putImageData(shown, 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  async examples(seed) {
    const all = await (await fetch("examples.json")).json();
    return all[seed % all.length];
  }

  file(drawing, format) {
    const [suffix, type, write] = FORMATS[format];
    return { href: `data:${type};charset=utf-8,${encodeURIComponent(write(drawing))}`, name: `drawing${suffix}` };
  }
}

// The pixels of an image file. Its size is looked at before the image is decoded.
async function pixelsOf(file) {
  const address = URL.createObjectURL(file);
  try {
    const image = new Image();
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject(new Error("this is no image; give a PNG, JPEG, WebP, BMP or GIF"));
      image.src = address;
    });
    const { naturalWidth: wide, naturalHeight: high } = image;
    if (Math.min(wide, high) < LEAST_SIDE) {
      throw new Error(`an image of ${wide} x ${high} pixels holds no drawing; give a larger one`);
    }
    if (wide * high > MOST_PIXELS) {
      throw new Error(`${wide} x ${high} pixels are more than ${MOST_PIXELS.toLocaleString("en")}; make it smaller`);
    }
    const scale = Math.min(1, LARGEST / Math.max(wide, high));
    const [width, height] = [wide, high].map((side) => Math.max(LEAST_SIDE, Math.round(scale * side)));
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  } finally {
    URL.revokeObjectURL(address);
  }
}

export const engine = new BrowserEngine();
