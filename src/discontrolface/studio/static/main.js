// The page's own program: what is clicked becomes calls of the API, what comes back is shown.

import { Api } from "./api.js";
import { Panel } from "./panel.js";
import { gazePad, lampPad } from "./pads.js";
import { photoSources, showFaces } from "./photos.js";
import { Stage } from "./stage.js";

const $ = (id) => document.getElementById(id);
const REST = 600; // ms without a movement before the networks draw

class Studio {
  api = new Api();
  sampling = {};
  iterations = null;
  turn = 0; // counts changes: a picture of an older target is not shown
  live = {}; // what is being dragged
  pending = null; // edits that wait for the one under way
  face = 0; // the number of the face to copy from

  async begin() {
    this.api.onLost = () => this.lost();
    this.say("loading the networks ...");
    try {
      this.info = await this.api.get("info");
      const state = await this.api.resume();
      this.build();
      this.say("");
      if (state.photo) await this.opened(state);
      await this.showHistory();
    } catch (fault) {
      this.say(fault.message);
    }
    document.body.dataset.studio = "ready";
  }

  build() {
    const { info } = this;
    this.stage = new Stage(this.api, (text) => this.say(text), () => this.shown(this.state));
    const one = (key, value) => ({ controls: { [key]: value } });
    this.panel = new Panel($("panel"), $("search"), info.controls, info.groups, (k, v) => this.moving(one(k, v)), (k, v) => this.moved(one(k, v)));
    const range = (key) => info.controls.find((row) => row.key === key)?.high ?? 1;
    this.setGaze = gazePad($("gaze"), [range("gaze_yaw"), range("gaze_pitch")], (m) => this.moving(m), (m) => this.moved(m));
    this.setLamp = lampPad($("lamp"), $("lamp-text"), (m) => this.moving(m), (m) => this.moved(m));
    for (const name of info.looks) $("looks").append(button(name, () => this.change("look", { name })));
    for (const part of info.parts) $("parts").append(button(`Copy ${part}`, () => this.change("copy", { parts: [part], face: this.face })));
    const numbers = info.controls.filter((row) => row.kind === "number");
    $("sweep-control").append(...numbers.map((row) => new Option(`${row.label} (${row.name})`, row.key)));
    const span = () => {
      const row = numbers.find((other) => other.key === $("sweep-control").value);
      [$("sweep-from").value, $("sweep-to").value] = row.unit === "degrees" ? [row.low / 3, row.high / 3] : [row.low, Math.min(row.high, 1)];
    };
    $("sweep-control").addEventListener("change", span);
    span();
    $("sweep-go").addEventListener("click", () => this.sweep());
    photoSources((file) => this.open(file), (text) => this.say(text));
    $("other-choose").addEventListener("click", () => $("other-file").click());
    $("other-file").addEventListener("change", () => this.openOther($("other-file").files[0]));
    $("parameters-choose").addEventListener("click", () => $("parameters-file").click());
    $("parameters-file").addEventListener("change", () => this.loadParameters($("parameters-file").files[0]));
    $("cancel").addEventListener("click", () => this.job && this.attempt(() => this.api.remove(`jobs/${this.job}`)));
    document.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || event.target.matches("input:not([type=range]), textarea")) return;
      event.preventDefault();
      this.act(event.shiftKey ? "redo" : "undo");
    });
  }

  say(text) { $("message").textContent = text; }

  lost() {
    this.say("this session was left alone too long; load the photo again");
    this.api.begin().catch(() => {});
  }

  async attempt(work) {
    try {
      return await work();
    } catch (fault) {
      this.say(fault.message);
      return null;
    }
  }

  // ---- photos

  tooLarge(file) {
    const most = this.info.limits.upload_bytes;
    if (file.size <= most) return false;
    this.say(`this file has ${(file.size / 1e6).toFixed(0)} MB; at most ${(most / 1e6).toFixed(0)} MB are taken`);
    return true;
  }

  async open(file) {
    if (this.tooLarge(file)) return;
    const begin = performance.now();
    this.say("reading the photo ...");
    await this.attempt(async () => {
      const state = await this.api.call("POST", "photo", { body: new Blob([file]) });
      await this.opened(state);
      this.say(state.remarks.join("; "));
      performance.measure("photo", { start: begin, end: performance.now() });
    });
  }

  async opened(state) {
    const { faces, chosen } = state.photo;
    if (faces.length > 1) await showFaces($("faces"), await this.api.picture("photo"), faces, chosen, (k) => this.chooseFace(k));
    else $("faces").hidden = true;
    await this.stage.begin();
    await this.shown(state);
    if (state.other.length) await this.shownOther(state);
  }

  async chooseFace(face) {
    await this.attempt(async () => this.opened(await this.api.post("face", { face })));
  }

  async openOther(file) {
    $("other-file").value = "";
    if (!file || this.tooLarge(file)) return;
    this.say("reading the other photo ...");
    await this.attempt(async () => {
      this.face = 0;
      await this.shownOther(await this.api.call("POST", "other", { body: new Blob([file]) }));
      this.say("");
    });
  }

  async shownOther(state) {
    const picture = await this.api.picture("photo", { other: true });
    await showFaces($("other-faces"), picture, state.other, this.face, (k) => { this.face = k; this.shownOther(state); });
  }

  async loadParameters(file) {
    $("parameters-file").value = "";
    if (!file) return;
    await this.attempt(async () => this.shown(await this.api.call("POST", "parameters", { body: new Blob([file]) })));
  }

  // ---- edits

  // While something is dragged: its preview, and no picture of the networks, which would take the processor.
  moving(body) {
    if (!this.state?.photo) return;
    this.turn++;
    $("badge").hidden = false;
    this.live = body;
    clearTimeout(this.rest);
    if (this.drawing) this.api.remove(`jobs/${this.drawing}`).catch(() => {});
    this.drawing = null;
    this.stage.preview(body);
  }

  // It rests. One edit is under way at a time; what moves meanwhile goes with the next one, so that no old answer sets a slider back.
  async moved(body) {
    if (!this.state?.photo) return this.say("load a photo first");
    this.live = {};
    this.pending = { ...this.pending, ...body, controls: { ...this.pending?.controls, ...body.controls } };
    if (this.sending) return;
    this.sending = true;
    await this.attempt(async () => {
      let state = null;
      while (this.pending) {
        const edit = this.pending;
        this.pending = null;
        state = await this.api.post("edit", edit);
      }
      await this.shown(state);
      this.say("");
    });
    this.sending = false;
  }

  async change(path, body) {
    await this.attempt(async () => { await this.shown(await this.api.post(path, body)); this.say(""); });
  }

  async act(name) {
    if (name === "render") await this.render();
    else if (name === "personalize") await this.personalize();
    else await this.change(name);
  }

  choose(name, value) {
    if (name === "iterations") this.iterations = value || null;
    else if (value === null || value === "" || value === "preset's") delete this.sampling[name];
    else this.sampling[name] = value;
    this.follow();
  }

  // A new state of the session: sliders, buttons, preview, and after a while the networks' picture.
  async shown(state) {
    this.state = state;
    this.turn++;
    this.panel.set(state.values);
    this.setGaze(state.values);
    this.setLamp(state.light);
    $("undo").disabled = !state.can_undo;
    $("redo").disabled = !state.can_redo;
    $("badge").hidden = Object.keys(state.edited).length === 0;
    document.body.dataset.personal = state.personal ? "yes" : "no";
    await this.stage.preview(this.live);
    this.follow();
  }

  follow() {
    clearTimeout(this.rest);
    if (this.state?.photo) this.rest = setTimeout(() => this.network(), REST);
  }

  async network() {
    if (this.stage.layer !== "picture") return;
    const turn = this.turn;
    await this.attempt(async () => {
      const begun = await this.api.post("jobs", { kind: "network", sampling: this.sampling });
      this.drawing = begun.job;
      const job = await this.api.follow(begun, () => {});
      if (job.state === "failed") this.say(job.error);
      if (job.state !== "done" || turn !== this.turn) return;
      const picture = await this.api.picture(`jobs/${job.job}/picture`);
      if (turn === this.turn) await this.stage.show(picture, "networks, few steps");
    });
  }

  // ---- work that takes long

  // Begin a job, show how far it is, say how it ended. Returns the finished job, or null.
  async work(body, title) {
    clearTimeout(this.rest);
    return this.attempt(async () => {
      const job = await this.api.follow(await this.api.post("jobs", body), (told) => this.progress(told, title));
      if (job.state === "failed") this.say(job.error);
      if (job.state === "cancelled") this.say(`${title}: cancelled`);
      return job.state === "done" ? job : null;
    }).finally(() => { $("work").hidden = true; this.job = null; });
  }

  progress(job, title) {
    this.job = job.job;
    $("work").hidden = false;
    if (job.total) { $("bar").max = job.total; $("bar").value = job.done; } else $("bar").removeAttribute("value");
    const left = job.seconds_left === null ? "" : `, ${Math.ceil(job.seconds_left)} s left`;
    $("work-text").textContent = job.state === "waiting" ? `${title}: ${job.before} before it` : `${title}: ${job.done} of ${job.total}${left}`;
  }

  async render() {
    const turn = this.turn;
    const job = await this.work({ kind: "render", sampling: this.sampling }, "render");
    if (!job) return;
    await this.showHistory();
    if (turn === this.turn) await this.attempt(async () => this.stage.show(await this.api.picture(`jobs/${job.job}/picture`), "full render"));
  }

  async personalize() {
    const job = await this.work({ kind: "personalize", iterations: this.iterations }, "personalize");
    if (!job) return;
    await this.attempt(async () => this.shown(await this.api.get("state")));
    this.say("the networks are adapted to this face");
  }

  async sweep() {
    const [start, end, frames] = ["from", "to", "frames"].map((name) => Number($(`sweep-${name}`).value));
    const sweep = { control: $("sweep-control").value, start, end, frames, network: $("sweep-network").checked };
    if (await this.work({ kind: "sweep", sweep, sampling: this.sampling }, "sweep")) await this.showHistory();
  }

  // ---- history

  async showHistory() {
    await this.attempt(async () => {
      const pictures = await this.api.get("pictures");
      const cards = await Promise.all(pictures.map((picture) => this.card(picture)));
      $("history").replaceChildren(...cards.reverse());
    });
  }

  async card(picture) {
    const card = document.createElement("figure");
    const image = new Image();
    image.alt = `${picture.kind}: ${picture.label}`;
    image.src = URL.createObjectURL(await this.api.picture(`pictures/${picture.id}/thumbnail`));
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    const title = document.createElement("figcaption");
    title.textContent = picture.label;
    const files = picture.files.map((name) => button(name, () => this.download(picture.id, name)));
    if (picture.kind === "render") files.push(button("go back to it", () => this.change(`pictures/${picture.id}/use`)));
    card.append(image, title, ...files);
    return card;
  }

  async download(id, name) {
    await this.attempt(async () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await this.api.picture(`pictures/${id}/${name}`, { mark: $("mark").checked }));
      link.download = `discontrolface-${name}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }
}

function button(text, click) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.addEventListener("click", click);
  return element;
}

window.studio = new Studio();
window.studioReady = () => window.studio.begin();
if (window.studioWaiting) window.studio.begin();
