// The JSON API: calls with the session's name in a header; faults as Error with the server's sentence.

const PREFIX = "/studio/api/";
const KEPT = "discontrolface-studio-session";

export class Api {
  session = sessionStorage.getItem(KEPT) || "";
  onLost = () => {};

  async call(method, path, { body, query, kind = "json" } = {}) {
    const headers = { "X-Studio-Session": this.session };
    if (body !== undefined && !(body instanceof Blob)) {
      headers["Content-Type"] = "application/json";
      body = JSON.stringify(body);
    }
    let response;
    try {
      response = await fetch(PREFIX + path + (query ? `?${new URLSearchParams(query)}` : ""), { method, headers, body });
    } catch {
      throw new Error("the studio does not answer; is it still running?");
    }
    if (response.ok) return kind === "blob" ? response.blob() : response.json();
    const fault = await response.json().catch(() => ({}));
    if (response.status === 401 && this.session) {
      sessionStorage.removeItem(KEPT);
      this.session = "";
      this.onLost();
    }
    throw new Error(fault.error || `the studio answers with ${response.status}`);
  }

  get(path, query) { return this.call("GET", path, { query }); }
  picture(path, query) { return this.call("GET", path, { query, kind: "blob" }); }
  post(path, body = {}) { return this.call("POST", path, { body }); }
  drawn(path, body) { return this.call("POST", path, { body, kind: "blob" }); }
  remove(path) { return this.call("DELETE", path); }

  async begin() {
    this.session = (await this.post("session")).session;
    sessionStorage.setItem(KEPT, this.session);
  }

  // The session that this tab had before it was loaded again, or a new one. Returns its state.
  async resume() {
    const known = this.session !== "" && (await this.get("session")).known;
    if (!known) await this.begin();
    return this.get("state");
  }

  // Follow a job to its end; told(job) hears of every change.
  async follow(job, told) {
    told(job);
    while (job.state === "waiting" || job.state === "running") {
      job = await this.get(`jobs/${job.job}`, { wait: 8 });
      told(job);
    }
    return job;
  }
}
