// The page: asks its engine, shows what that answers. What an engine is, server_engine.js says.

import { engine } from "./engine.js";
import { Player, element, still } from "./player.js";
import { Sheet } from "./sheet.js";

const MOST_BYTES = 12 * 2 ** 20; // of a file
const PAUSE = 700; // milliseconds after a line, before it is drawn again by itself
const TITLES = {
  synthetic: "Synthetic strokes", omniglot: "Omniglot", mnist: "MNIST digits", emnist: "EMNIST letters",
  kmnist: "KMNIST", quickdraw: "Quick, Draw!",
};
const byId = (id) => document.getElementById(id);

let asking = null; // the kind that is being answered
let next = null; // what to ask after it
let seed = 0;
let answer = null;
let pause = null;
let showsExamples = false;
let exampleSeed = 0;

const player = new Player({
  svg: byId("strokes"), frame: byId("sheet"), slider: byId("steps"), button: byId("play"), label: byId("step"),
  showsWindow: byId("window"),
});
const sheet = new Sheet(byId("sheet"), byId("paper"), byId("cursor"), { began: forget, ended: later });

// What is on the sheet changes: the model's drawing goes.
function forget() {
  clearTimeout(pause);
  next = null;
  seed = 0;
  answer = null;
  player.hide();
  say("");
  byId("hint").hidden = true;
  for (const id of ["gallery", "facts", "export"]) byId(id).hidden = true;
  press(null);
}

function later() {
  clearTimeout(pause);
  if (byId("live").checked) pause = setTimeout(() => ask("redraw"), PAUSE);
}

function say(message) {
  byId("message").textContent = message;
  byId("message").hidden = !message;
}

function press(kind) {
  for (const button of document.querySelectorAll("[data-kind]")) {
    button.setAttribute("aria-pressed", button.dataset.kind === kind);
  }
}

async function ask(kind) {
  clearTimeout(pause);
  if (sheet.isEmpty) return say("Draw something first.");
  if (asking) return void (next = kind);
  say("");
  asking = kind;
  const { version } = sheet;
  const button = document.querySelector(`[data-kind=${kind}]`);
  button.classList.add("working");
  report();
  try {
    const found = await engine.draw(kind, byId("model").value, seed, sheet);
    if (sheet.version === version) {
      seed += 1;
      show(found);
    }
  } catch (error) {
    say(sentence(error));
  }
  button.classList.remove("working");
  asking = null;
  report();
  if (next) ask(next);
  next = null;
}

function sentence({ message }) {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}

function show(found) {
  answer = found;
  press(found.kind);
  const several = found.drawings.length > 1;
  byId("gallery").hidden = !several;
  byId("gallery").replaceChildren(
    ...(several ? found.drawings : []).map((drawing, i) => {
      const button = document.createElement("button");
      button.append(still(drawing));
      button.setAttribute("aria-label", `Drawing ${i + 1}`);
      button.addEventListener("click", () => choose(i));
      return button;
    }),
  );
  choose(0);
}

function choose(index) {
  const drawing = answer?.drawings[index];
  if (!drawing) return;
  [...byId("gallery").children].forEach((button, i) => button.setAttribute("aria-pressed", i === index));
  player.show(drawing);
  for (const link of document.querySelectorAll("[data-format]")) {
    link.hidden = !engine.formats.includes(link.dataset.format);
    if (link.hidden) continue;
    const { href, name } = engine.file(drawing, link.dataset.format);
    Object.assign(link, { href, download: name });
  }
  byId("export").hidden = false;
  facts(drawing);
}

function facts(drawing) {
  const number = (value) => Math.round(value).toLocaleString("en");
  const nats = "a lower bound on the log-probability of the picture under this model; more is likelier";
  const rows = [
    ["strokes", drawing.strokes.length, ""],
    ["seconds", answer.seconds.toFixed(2), "the model's time for all drawings shown"],
    ["nats", answer.nats === null ? null : number(answer.nats), nats],
    ["error", answer.l1 === null ? null : number(answer.l1), "sum over pixels of what differs, ink being 1"],
  ];
  byId("facts").replaceChildren(
    ...rows.filter(([, value]) => value !== null).map(([name, value, title]) => {
      const [row, term, detail] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
      term.textContent = name;
      detail.textContent = value;
      row.title = title;
      row.append(term, detail);
      return row;
    }),
  );
  byId("facts").hidden = false;
}

// The line that says how the engine is; returns whether it is busy.
async function report() {
  const asked = asking && { kind: asking, model: byId("model").value };
  const { models, line, state, hasExamples } = await engine.status(asked);
  if (!byId("model").options.length) offer(models);
  if (hasExamples && !showsExamples) showExamples();
  byId("status").className = state;
  byId("status").textContent = line;
  return state === "busy";
}

function offer(names) {
  byId("model").replaceChildren(...names.map((name) => new Option(TITLES[name] ?? name, name)));
}

async function watch() {
  const isBusy = await report();
  setTimeout(watch, asking ? 400 : isBusy ? 1500 : 5000);
}

// Pictures from outside.
async function take(file) {
  if (!file) return;
  if (file.size > MOST_BYTES) {
    return say(`${file.name} has ${(file.size / 2 ** 20).toFixed(1)} MB; give an image of up to ${MOST_BYTES / 2 ** 20} MB.`);
  }
  try {
    await place(URL.createObjectURL(await engine.sheetOf(file)));
  } catch (error) {
    say(file.name ? `${file.name}: ${sentence(error)}` : sentence(error));
  }
}

async function place(url) {
  await sheet.setPicture(url);
  forget();
  ask("redraw");
}

async function showExamples() {
  showsExamples = true;
  byId("others").disabled = true;
  try {
    const sets = await engine.examples(exampleSeed++);
    const rows = sets.map(({ title, generated, images }) => {
      const row = document.createElement("div");
      row.className = "set";
      const name = document.createElement("h3");
      name.textContent = generated ? `${title}, made up` : title;
      row.append(name, ...images.map((url, i) => exampleButton(`${title} ${i + 1}`, picture(url), () => place(url))));
      return row;
    });
    const all = document.createElement("div");
    all.className = "sets";
    all.append(...rows);
    document.querySelector(".sets")?.remove();
    byId("examples").append(all);
    byId("others").hidden = false;
  } catch {
    byId("others").hidden = true;
  }
  byId("others").disabled = false;
}

function picture(url) {
  const image = new Image();
  image.src = url;
  image.alt = "";
  return image;
}

function exampleButton(name, inside, action) {
  const button = document.createElement("button");
  button.title = name;
  button.setAttribute("aria-label", name);
  button.append(inside);
  button.addEventListener("click", action);
  return button;
}

async function showShapes() {
  const shapes = await (await fetch("shapes.json")).json();
  const buttons = Object.entries(shapes).map(([name, lines]) => {
    const points = lines.map((line) => line.map(([x, y]) => `${x},${y}`).join(" "));
    const drawn = points.map((line) => element("polyline", { points: line, stroke: "#1d1d1f", "stroke-width": 0.05 }));
    return exampleButton(name, element("svg", { viewBox: "0 0 1 1" }, ...drawn), () => {
      sheet.setLines(lines.map((line) => line.map((point) => [...point])));
      forget();
      ask("redraw");
    });
  });
  byId("by-hand").append(...buttons);
}

// Keys, drops and clicks.
function clear() {
  sheet.clear();
  forget();
  byId("hint").hidden = false;
}

function undo() {
  sheet.undo();
  forget();
  if (sheet.isEmpty) byId("hint").hidden = false;
  else later();
}

function onKey(event) {
  const isTyping = event.target.matches("select, input:not([type=checkbox]):not([type=range])");
  const undoes = event.key === "z" && (event.ctrlKey || event.metaKey);
  if (isTyping || event.altKey || ((event.ctrlKey || event.metaKey) && !undoes)) return;
  const kinds = { r: "redraw", v: "vary", c: "complete", t: "trace" };
  const key = event.key.toLowerCase();
  if (kinds[key]) ask(kinds[key]);
  else if (key === "z") undo();
  else if (key === "backspace" || key === "delete") clear();
  else if (key === "enter" && event.target === byId("sheet")) ask("redraw");
  else if (key === " " && !event.target.closest("button, a, input")) player.toggle();
  else if (key === "arrowright" || key === "arrowleft") player.stepBy(key === "arrowright" ? 1 : -1);
  else if (/^[1-9]$/.test(key)) choose(Number(key) - 1);
  else return;
  event.preventDefault();
}

for (const button of document.querySelectorAll("[data-kind]")) {
  button.addEventListener("click", () => ask(button.dataset.kind));
}
byId("clear").addEventListener("click", clear);
byId("undo").addEventListener("click", undo);
byId("open").addEventListener("click", () => byId("file").click());
byId("others").addEventListener("click", showExamples);
byId("file").addEventListener("change", (event) => {
  take(event.target.files[0]);
  event.target.value = "";
});
byId("model").addEventListener("change", () => {
  seed = 0;
  if (!sheet.isEmpty) ask(answer?.kind ?? "redraw");
});
addEventListener("keydown", onKey);
addEventListener("paste", (event) => take(event.clipboardData.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("sheet").classList.add("over");
});
addEventListener("dragleave", () => byId("sheet").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  byId("sheet").classList.remove("over");
  take(event.dataTransfer.files[0]);
});

showShapes();
watch();
