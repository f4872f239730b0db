// The stage: before and after with a wipe between them, and which layer of the edit is shown.

const $ = (id) => document.getElementById(id);

export class Stage {
  layer = "picture";
  wanted = null;
  drawing = false;

  constructor(api, say, onLayer) {
    this.api = api;
    this.say = say;
    $("wipe").addEventListener("input", () => this.wipe());
    for (const name of ["picture", "mesh", "normals"]) {
      const label = document.createElement("label");
      label.innerHTML = `<input type="radio" name="layer" value="${name}"> ${name}`;
      label.firstChild.checked = name === "picture";
      label.firstChild.addEventListener("change", () => { this.layer = name; onLayer(); });
      $("layers").append(label);
    }
  }

  wipe() { $("after").style.clipPath = `inset(0 0 0 ${$("wipe").value}%)`; }

  async begin() {
    await put($("before"), await this.api.picture("before"));
    $("stage").dataset.empty = "no";
    $("empty").hidden = true;
    $("wipe").disabled = false;
  }

  // Show a picture of the edit. kind: what it is, in words.
  async show(blob, kind) {
    await put($("after"), blob);
    this.wipe();
    $("kind").value = kind;
  }

  // Draw the preview of the target with `moved` on top. Only the last request counts; one is under way at a time.
  async preview(moved = {}) {
    this.wanted = { ...moved, layer: this.layer, since: performance.now() };
    if (this.drawing) return;
    this.drawing = true;
    try {
      while (this.wanted) {
        const { since, ...body } = this.wanted;
        this.wanted = null;
        const blob = await this.api.drawn("preview", body);
        await this.show(blob, this.layer === "picture" ? "preview, no network" : this.layer);
        performance.measure("preview", { start: since, end: performance.now() });
      }
    } catch (fault) {
      this.say(fault.message);
    } finally {
      this.drawing = false;
    }
  }
}

async function put(image, blob) {
  const old = image.src;
  image.src = URL.createObjectURL(blob);
  await image.decode();
  image.hidden = false;
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
}
