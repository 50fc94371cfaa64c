// The engine that asks the server of `dood demo`. The static site has another, tools/site/browser_engine.js,
// which computes in the browser. The page imports either as ./engine.js. An engine has
//   formats                  in which drawings can be saved, as the page's buttons name them
//   status(asked)            {models, line, state, hasExamples}; `asked` is the {kind, model} that is being
//                            answered, or null; `state` is "", "busy" or "lost"
//   draw(kind, model, seed, sheet)  {kind, drawings, seconds, nats, l1}: what a model makes of a sheet
//   sheetOf(file)            a PNG of a sheet that shows what is drawn in an image file
//   examples(seed)           [{title, generated, images}] with the addresses of images
//   file(drawing, format)    {href, name} to save a drawing by; with name "" the server gives one
// and fails with errors whose messages are meant for the reader.

const client = Array.from(crypto.getRandomValues(new Uint8Array(9)), (n) => n.toString(16).padStart(2, "0")).join("");
const headers = { "x-dood-client": client };

async function ask(address, body) {
  const response = await fetch(address, { method: body ? "POST" : "GET", body, headers }).catch(() => {
    throw new Error("the server does not answer; is it still running?");
  });
  if (response.ok) return response;
  const said = await response.json().catch(() => ({ message: `the server answered ${response.status}` }));
  throw new Error(said.message);
}

class ServerEngine {
  formats = ["svg", "animated-svg", "gif", "inkml", "json"];

  async status(asked) {
    let found;
    try {
      found = await (await ask("api/status")).json();
    } catch {
      return { models: [], line: "no answer from the server", state: "lost", hasExamples: false };
    }
    const { models, ready, ahead, compiling } = found;
    const isNew = asked && !ready.includes(`${asked.kind}/${asked.model}`);
    let line = "ready";
    if (asked && ahead > 0) line = `in the queue: ${ahead} before you`;
    else if (asked) line = isNew ? "the first time takes a minute…" : "drawing…";
    else if (compiling) line = `getting ready: ${compiling.replace("/", ", ")}`;
    return { models, line, state: asked || compiling ? "busy" : "", hasExamples: ready.includes("examples") };
  }

  async draw(kind, model, seed, sheet) {
    const query = new URLSearchParams({ kind, model, seed });
    return (await ask(`api/drawings?${query}`, await sheet.toPng())).json();
  }

  async sheetOf(file) {
    return (await ask("api/sheet", file)).blob();
  }

  async examples(seed) {
    return (await (await ask(`api/examples?seed=${seed}`)).json()).sets;
  }

  file(drawing, format) {
    return { href: `api/drawings/${drawing.id}.${format}`, name: "" };
  }
}

export const engine = new ServerEngine();
