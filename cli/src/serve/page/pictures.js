// Fetches pictures as fast as they are shown: the next of a topic is asked for when the one before has been drawn. A browser
// opens only six connections to a server, so a few at a time ask for whatever topic has waited longest.

const AT_ONCE = 4;
const PAUSE = { small: 125, full: 0 }; // Milliseconds from one picture of a topic to the next, at least.
const NOTHING_NEW = 250;
const TROUBLE = 2000;

export class Pictures {
  #wanted = new Map();
  #busy = 0;
  #timer = 0;
  paused = false;

  // `show(bitmap, about)` is called with each picture, `tell(text)` when there is none.
  watch(key, topic, size, show, tell) {
    const known = this.#wanted.get(key);
    if (known) return;
    this.#wanted.set(key, { key, topic, size, show, tell, tag: null, due: 0, busy: false, stop: new AbortController() });
    this.#go();
  }

  unwatch(key) {
    this.#wanted.get(key)?.stop.abort();
    this.#wanted.delete(key);
  }

  pause(paused) {
    this.paused = paused;
    this.#go();
  }

  #go() {
    clearTimeout(this.#timer);
    if (this.paused) return;
    const now = performance.now();
    const idle = [...this.#wanted.values()].filter((one) => !one.busy).sort((a, b) => a.due - b.due);
    for (const one of idle) {
      if (one.due > now) {
        this.#timer = setTimeout(() => this.#go(), one.due - now);
        return;
      }
      if (this.#busy >= AT_ONCE) return;
      this.#fetch(one);
    }
  }

  async #fetch(one) {
    this.#busy += 1;
    one.busy = true;
    let pause = TROUBLE;
    try {
      pause = await this.#next(one);
    } catch (error) {
      if (error.name !== "AbortError") one.tell("no answer");
    }
    one.busy = false;
    one.due = performance.now() + pause;
    this.#busy -= 1;
    this.#go();
  }

  // How long to wait before the next.
  async #next(one) {
    // Where there are connections for all, the answer may wait for the next frame.
    const wait = this.#wanted.size <= AT_ONCE ? 2 : 0;
    const url = `/topics/${encodeURIComponent(one.topic)}.frame?size=${one.size}&wait=${wait}`;
    const headers = one.tag ? { "If-None-Match": one.tag } : {};
    const answer = await fetch(url, { headers, cache: "no-store", signal: one.stop.signal });
    if (answer.status === 304) return wait ? 0 : NOTHING_NEW;
    if (!answer.ok) {
      one.tag = null;
      one.tell((await answer.text()).trim());
      return TROUBLE;
    }
    const body = await answer.arrayBuffer();
    const length = new DataView(body).getUint32(0);
    const text = new TextDecoder().decode(new Uint8Array(body, 4, length));
    const about = { ...JSON.parse(text), text };
    const jpeg = new Blob([new Uint8Array(body, 4 + length)], { type: "image/jpeg" });
    const bitmap = await createImageBitmap(jpeg).catch(() => null);
    one.tag = answer.headers.get("ETag");
    if (one.stop.signal.aborted) return 0;
    if (bitmap) one.show(bitmap, about);
    else one.tell("the browser cannot read this picture");
    bitmap?.close();
    return PAUSE[one.size];
  }
}
