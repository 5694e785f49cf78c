// The node's stream of events. It calls listeners by the name of the event, and when it is lost or back.

const timeout = 5000; // ms without an event after which the stream counts as lost; one comes every second

export class Stream {
  #listeners = new Map();
  #source = null;
  #next = null; // a source that replaces the other after its hello
  #client = ""; // whose path is followed
  #received = 0;
  #retry = 0;
  #pause = 500;
  live = false;
  lost = 0; // when it was lost; 0 before the first event

  // on calls f with the data of each event of that name. The name "state" is for when the stream is lost or back, "following" for when
  // it has the path of another client.
  on(name, f) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, []);
    this.#listeners.get(name).push(f);
  }

  start() {
    this.#replace();
    setInterval(() => {
      if (this.live && performance.now() - this.#received > timeout) this.#fail();
    }, 1000);
    addEventListener("online", () => this.live || this.#replace());
  }

  // follow requests the path of one client, given as it stands in a URL, or of none.
  follow(client) {
    if (client === this.#client) return;
    this.#client = client;
    this.#replace();
  }

  #emit(name, data) {
    for (const f of this.#listeners.get(name) ?? []) f(data);
  }

  #replace() {
    clearTimeout(this.#retry);
    this.#next?.close();
    const client = this.#client, source = new EventSource("api/v1/events" + (client ? "?client=" + client : ""));
    this.#next = source;
    source.addEventListener("hello", () => {
      if (source !== this.#next) return;
      this.#source?.close();
      this.#source = source;
      this.#next = null;
      this.#pause = 500;
      this.#emit("following", client);
    });
    for (const name of ["hello", "health", "nodes", "clients", "messages", "notice", "path"]) {
      source.addEventListener(name, (e) => {
        if (source !== this.#source) return;
        this.#received = performance.now();
        if (!this.live) {
          this.live = true;
          this.#emit("state", null);
        }
        this.#emit(name, JSON.parse(e.data));
      });
    }
    source.onerror = () => {
      if (source === this.#next || source === this.#source) this.#fail();
    };
  }

  #fail() {
    this.#source?.close();
    this.#next?.close();
    this.#source = this.#next = null;
    if (this.live || this.lost === 0) {
      this.live = false;
      this.lost = Date.now();
      this.#emit("state", null);
    }
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#replace(), this.#pause * (0.5 + Math.random() / 2));
    this.#pause = Math.min(5000, this.#pause * 2);
  }
}
