// The sheet: what the user drew, or dropped, and nothing of the model's.

const INK = "#1d1d1f";
const PEN = 0.05; // of the sheet's side
const STEP = 0.02; // of the keyboard's pen

export class Sheet {
  // `began` and `ended` are called when a line begins and ends.
  constructor(frame, canvas, cursor, { began, ended }) {
    Object.assign(this, { frame, canvas, cursor, began, ended });
    this.lines = []; // of [x, y], each 0..1
    this.picture = null;
    this.line = null; // the one that is being drawn
    this.pen = [0.5, 0.5];
    this.version = 0; // another for everything that was on the sheet
    this.listen();
    this.show();
  }

  get isEmpty() {
    return !this.picture && this.lines.length === 0;
  }

  clear() {
    this.lines = [];
    this.picture = null;
    this.line = null;
    this.show();
  }

  undo() {
    if (this.lines.length) this.lines.pop();
    else this.picture = null;
    this.show();
  }

  setLines(lines) {
    this.clear();
    this.lines = lines;
    this.show();
  }

  async setPicture(url) {
    const image = new Image();
    image.src = url;
    await image.decode();
    this.clear();
    this.picture = image;
    this.show();
  }

  toPng() {
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
  }

  pixels() {
    return this.canvas.getContext("2d").getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  show() {
    this.version += 1;
    const { canvas } = this;
    const side = canvas.width;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, side, side);
    if (this.picture) context.drawImage(this.picture, 0, 0, side, side);
    Object.assign(context, { lineWidth: PEN * side, lineCap: "round", lineJoin: "round", strokeStyle: INK });
    for (const line of this.lines) {
      context.beginPath();
      line.forEach(([x, y], i) => (i ? context.lineTo(x * side, y * side) : context.moveTo(x * side, y * side)));
      if (line.length === 1) context.lineTo(line[0][0] * side, line[0][1] * side);
      context.stroke();
    }
  }

  begin(point) {
    this.began();
    this.line = [point];
    this.lines.push(this.line);
    this.show();
  }

  goOn(points) {
    this.line.push(...points);
    this.show();
  }

  end() {
    if (!this.line) return;
    this.line = null;
    this.cursor.classList.remove("down");
    this.ended();
  }

  listen() {
    const { frame } = this;
    const place = (event) => {
      const box = frame.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      frame.setPointerCapture(event.pointerId);
      this.cursor.hidden = true;
      this.begin(place(event));
    });
    frame.addEventListener("pointermove", (event) => {
      if (!this.line || !event.isPrimary || !frame.hasPointerCapture(event.pointerId)) return;
      const all = event.getCoalescedEvents?.() ?? [];
      this.goOn((all.length ? all : [event]).map(place));
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      frame.addEventListener(kind, (event) => event.isPrimary && this.end());
    }
    frame.addEventListener("keydown", (event) => this.key(event));
    frame.addEventListener("blur", () => {
      this.cursor.hidden = true;
      this.end();
    });
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (move) {
      const size = event.shiftKey ? STEP / 4 : STEP;
      this.pen = this.pen.map((value, axis) => Math.min(1, Math.max(0, value + size * move[axis])));
      if (this.line) this.goOn([this.pen]);
    } else if (event.key === " ") {
      if (event.repeat) return event.preventDefault();
      if (this.line) this.end();
      else {
        this.begin(this.pen);
        this.cursor.classList.add("down");
      }
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.cursor.hidden = false;
    this.cursor.style.left = `${100 * this.pen[0]}%`;
    this.cursor.style.top = `${100 * this.pen[1]}%`;
  }
}
