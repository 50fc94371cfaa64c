// A drawing of the model, shown stroke by stroke. Time is counted in strokes: 1.5 is halfway through the second.
// This file alone also puts drawings into any page. `src` names a JSON file of `dood vectorize` or of the page:
//   <script type="module" src="player.js"></script>
//   <dood-drawing src="drawing.json"></dood-drawing>

const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
const KEPT = "#55585e"; // strokes that the model goes on from
const SVG = "http://www.w3.org/2000/svg";
const [SPEED, SHORTEST, LONGEST] = [1.5, 0.16, 6]; // sides a second, seconds of a stroke, of a drawing

export function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function coloured(strokes) {
  const kept = strokes.filter((stroke) => stroke.kept).length;
  return strokes.map((stroke, i) => (stroke.kept ? KEPT : COLOURS[(i - kept) % COLOURS.length]));
}

function pathOf({ points, closed }) {
  const pairs = points.map((point) => point.join(" "));
  if (points.every(([x, y]) => x === points[0][0] && y === points[0][1])) return `M ${pairs[0]} l 0 0`;
  return `M ${pairs[0]} C ${pairs.slice(1).join(" ")}${closed ? " Z" : ""}`;
}

function pathsOf(strokes) {
  const colours = coloured(strokes);
  return strokes.map((stroke, i) =>
    element("path", { d: pathOf(stroke), stroke: colours[i], "stroke-width": stroke.width }),
  );
}

export function still(drawing) {
  return element("svg", { viewBox: "0 0 1000 1000" }, ...pathsOf(drawing.strokes));
}

export class Player {
  // `units` is the longer side of drawings; without `showsWindow`, a checkbox, no window is shown.
  constructor({ svg, frame, slider, button, label, showsWindow, units = 1000 }) {
    Object.assign(this, { svg, frame, slider, button, label, showsWindow, units });
    this.drawing = null;
    this.time = 0;
    slider.addEventListener("input", () => this.stopAt(Number(slider.value)));
    slider.addEventListener("keydown", (event) => this.key(event));
    button.addEventListener("click", () => this.toggle());
    showsWindow?.addEventListener("change", () => this.draw());
  }

  get count() {
    return this.drawing?.strokes.length ?? 0;
  }

  show(drawing) {
    this.drawing = drawing;
    const { strokes } = drawing;
    this.colours = coloured(strokes);
    this.paths = pathsOf(strokes);
    this.window = element("polygon", { class: "window" });
    this.svg.replaceChildren(...this.paths, this.window);
    this.lengths = this.paths.map((path) => path.getTotalLength());
    const seconds = this.lengths.map((length) => Math.max(SHORTEST, length / (SPEED * this.units)));
    const slow = Math.min(1, LONGEST / seconds.reduce((sum, one) => sum + one, 0));
    this.seconds = seconds.map((one) => one * slow);
    Object.assign(this.slider, { disabled: false, max: strokes.length });
    this.button.disabled = false;
    this.frame.classList.add("drawn");
    const stops = this.colours.map((colour, i) => {
      const [from, to] = [i, i + 1].map((at) => `${(100 * at) / strokes.length}%`);
      return `${colour} ${from} ${to}`;
    });
    this.slider.style.setProperty("--track", `linear-gradient(90deg, ${stops.join(", ")})`);
    this.time = strokes.filter((stroke) => stroke.kept).length;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (still) this.stopAt(strokes.length);
    else this.play();
  }

  hide() {
    this.pause();
    this.drawing = null;
    this.svg.replaceChildren();
    this.frame.classList.remove("drawn");
    Object.assign(this.slider, { disabled: true, value: 0 });
    this.slider.style.removeProperty("--track");
    this.button.disabled = true;
    this.label.textContent = "";
  }

  toggle() {
    if (!this.drawing) return;
    if (this.timer) this.pause();
    else {
      if (this.time >= this.count) this.time = 0;
      this.play();
    }
  }

  play() {
    this.pause();
    this.button.classList.add("playing");
    let last = performance.now();
    const next = (now) => {
      let left = Math.max(0, now - last) / 1000;
      last = now;
      while (left > 0 && this.time < this.count) {
        const stroke = Math.floor(this.time);
        const rest = (stroke + 1 - this.time) * this.seconds[stroke];
        this.time = left >= rest ? stroke + 1 : this.time + left / this.seconds[stroke];
        left -= rest;
      }
      this.draw();
      if (this.time < this.count) this.timer = requestAnimationFrame(next);
      else this.pause();
    };
    this.timer = requestAnimationFrame(next);
  }

  pause() {
    cancelAnimationFrame(this.timer);
    this.timer = null;
    this.button.classList.remove("playing");
  }

  stopAt(time) {
    if (!this.drawing) return;
    this.pause();
    this.time = Math.min(this.count, Math.max(0, time));
    this.draw();
  }

  stepBy(strokes) {
    this.stopAt(strokes > 0 ? Math.floor(this.time + 1e-6) + 1 : Math.ceil(this.time - 1e-6) - 1);
  }

  key(event) {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    this.stepBy(by);
  }

  draw() {
    if (!this.drawing) return;
    const { strokes } = this.drawing;
    this.paths.forEach((path, i) => {
      const share = Math.min(1, Math.max(0, this.time - i));
      const length = this.lengths[i];
      path.setAttribute("visibility", share > 0 ? "visible" : "hidden");
      if (share < 1) path.setAttribute("stroke-dasharray", `${share * length} ${length + 1}`);
      else path.removeAttribute("stroke-dasharray");
    });
    const current = Math.max(0, Math.ceil(this.time) - 1);
    const corners = strokes[current]?.window;
    const isSeen = corners && this.showsWindow?.checked && this.time > 0 && this.time < this.count;
    this.window.setAttribute("visibility", isSeen ? "visible" : "hidden");
    if (isSeen) {
      this.window.setAttribute("points", corners.map((corner) => corner.join(",")).join(" "));
      this.window.setAttribute("stroke", this.colours[current]);
    }
    this.slider.value = this.time;
    this.label.textContent = `stroke ${Math.ceil(this.time)} of ${strokes.length}`;
  }
}

const STYLE = `
  :host { display: inline-block; width: 300px; max-width: 100%; font: 13px/1.4 system-ui, sans-serif; }
  svg { display: block; width: 100%; fill: none; stroke-linecap: round; stroke-linejoin: round; }
  div { display: flex; gap: 8px; align-items: center; }
  button { width: 30px; } button::before { content: "\u25b6"; } button.playing::before { content: "\u23f8"; }
  input { flex: 1; min-width: 0; }
`;

// A drawing as `InkDrawing.to_json` writes it (drawing.schema.json), in the player's form.
function drawingOf({ width, height, strokes }) {
  if (!(width > 0 && height > 0 && strokes?.length)) throw new Error("this is no drawing with strokes");
  return {
    size: [width, height],
    strokes: strokes.map((one) => ({ points: one.control_points, width: one.width, closed: one.closed })),
  };
}

class DrawingElement extends HTMLElement {
  async connectedCallback() {
    if (this.shadowRoot) return;
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    const [frame, button, slider, label] = ["div", "button", "input", "output"].map((tag) => document.createElement(tag));
    try {
      const response = await fetch(this.getAttribute("src"));
      if (!response.ok) throw new Error(`the host answers ${response.status}`);
      const drawing = drawingOf(await response.json());
      const svg = element("svg", { viewBox: `0 0 ${drawing.size.join(" ")}`, role: "img", "aria-label": "a drawing" });
      button.setAttribute("aria-label", "Play");
      slider.setAttribute("aria-label", "Strokes drawn");
      Object.assign(slider, { type: "range", min: 0, step: 0.01 });
      frame.append(button, slider, label);
      root.append(svg, frame);
      new Player({ svg, frame, slider, button, label, showsWindow: null, units: Math.max(...drawing.size) }).show(drawing);
    } catch (error) {
      root.append(`${this.getAttribute("src")} cannot be shown: ${error.message}`);
    }
  }
}

customElements.define("dood-drawing", DrawingElement);
