// The socket of a terminal. Both directions are counted in bytes, so that a
// socket that was lost is replaced without a byte lost or doubled.

import type { Terminal } from "@xterm/xterm";

const message = 16 << 10; // bytes of one message; the gateway takes 32 KiB
const ahead = 192 << 10; // bytes typed that the shell has not taken; the gateway keeps 256 KiB
const most = 4 << 20; // bytes typed or pasted that wait in this page
const ackEvery = 32 << 10; // bytes
const ackWithin = 40; // ms
const silence = 25_000; // ms without a word, after which the socket is lost
const retries = [250, 500, 1000, 2000, 3000]; // ms; the last one repeats

const ended = 4000;
const refused = 4001;
const elsewhere = 4002;

export interface Closed {
  text: string;
  refused: boolean;
}

interface Events {
  opened(session: string): void;
  lost(): void;
  closed(why: Closed): void;
}

interface FromGateway {
  hello?: { session: string; from: number; got: number; took: number; back?: number };
  took?: number;
  beat?: boolean;
  ended?: string;
  refused?: string;
}

export class Link {
  private ws: WebSocket | null = null;
  private session = "";
  private back = 0; // ms that the gateway waits for us
  private lostAt = 0;
  private tries = 0;
  private retry = 0;
  private watch = 0;
  private word = ""; // why it is over
  private ending = false;

  private shown = 0; // bytes that have come
  private acked = 0;
  private drawn = 0; // bytes that are on the screen
  private ackTimer = 0;

  private typed: Uint8Array[] = []; // from number `first` on, until the shell has taken it
  private first = 0;
  private total = 0;
  private next = 0; // number of the byte to send next
  private live = false; // the gateway has said hello

  constructor(
    private readonly term: Terminal,
    private readonly path: () => string,
    private readonly on: Events,
  ) {
    addEventListener("online", () => this.lostAt && this.again(0));
  }

  /** open connects: to a session that is come back to, or to a new one. */
  open(session: string): void {
    Object.assign(this, { session, shown: 0, acked: 0, drawn: 0, typed: [], first: 0, total: -1, next: 0, word: "", ending: false, lostAt: 0, tries: 0, back: 0 });
    this.connect();
  }

  end(): void {
    this.ending = true;
    this.send({ end: true });
  }

  size(cols: number, rows: number): void {
    this.send({ size: [cols, rows] });
  }

  type(text: string): void {
    this.typeBytes(new TextEncoder().encode(text));
  }

  typeBytes(bytes: Uint8Array): void {
    if (this.total < 0 || this.total - this.first + bytes.length > most) return;
    for (let i = 0; i < bytes.length; i += message) this.typed.push(bytes.slice(i, i + message));
    this.total += bytes.length;
    this.flush();
  }

  private connect(): void {
    clearTimeout(this.retry);
    const q = new URLSearchParams({ cols: String(this.term.cols), rows: String(this.term.rows) });
    if (this.session) {
      q.set("session", this.session);
      q.set("from", String(this.shown));
    }
    const url = new URL(this.path() + "?" + q.toString(), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const ws = new WebSocket(url);
    ws.binaryType = "arraybuffer";
    this.ws = ws;
    this.live = false;
    ws.onmessage = (e) => {
      if (ws !== this.ws) return;
      this.heard();
      if (typeof e.data === "string") this.told(JSON.parse(e.data) as FromGateway);
      else this.show(new Uint8Array(e.data as ArrayBuffer));
    };
    ws.onclose = (e) => ws === this.ws && this.gone(e.code);
    this.heard();
  }

  // A network that went says nothing: whoever is silent is gone.
  private heard(): void {
    clearTimeout(this.watch);
    const ws = this.ws;
    this.watch = window.setTimeout(() => {
      if (ws !== this.ws) return;
      this.ws = null;
      ws?.close();
      this.gone(0);
    }, silence);
  }

  private told(m: FromGateway): void {
    if (m.hello) this.hello(m.hello);
    if (m.took !== undefined) this.took(m.took);
    if (m.beat) this.ack();
    if (m.ended !== undefined) this.word = m.ended;
    if (m.refused !== undefined) this.word = m.refused;
  }

  private hello(h: NonNullable<FromGateway["hello"]>): void {
    if (h.from !== this.shown) {
      this.term.reset();
      this.shown = this.acked = this.drawn = h.from;
    }
    if (this.total < 0) this.first = this.total = h.got; // this page has typed nothing yet
    this.session = h.session;
    if (h.back) this.back = h.back * 1000;
    this.next = Math.max(h.got, this.first);
    this.took(h.took);
    if (!this.live) {
      this.live = true;
      this.lostAt = this.tries = 0;
      this.on.opened(h.session);
      this.size(this.term.cols, this.term.rows);
      if (this.ending) this.send({ end: true });
    }
    this.ack();
    this.flush();
  }

  private show(bytes: Uint8Array): void {
    this.shown += bytes.length;
    const upTo = this.shown;
    this.term.write(bytes, () => {
      this.drawn = Math.max(this.drawn, Math.min(upTo, this.shown));
      if (this.drawn - this.acked >= ackEvery) this.ack();
      else if (!this.ackTimer) this.ackTimer = window.setTimeout(() => this.ack(), ackWithin);
    });
  }

  private ack(): void {
    clearTimeout(this.ackTimer);
    this.ackTimer = 0;
    this.acked = this.drawn;
    this.send({ ack: this.drawn });
  }

  private took(n: number): void {
    while (this.typed.length > 0 && this.first + this.typed[0]!.length <= n) this.first += this.typed.shift()!.length;
    this.flush();
  }

  private flush(): void {
    let at = this.first;
    for (const p of this.typed) {
      const from = this.next - at;
      at += p.length;
      if (from >= p.length) continue;
      if (!this.live || this.ws?.readyState !== WebSocket.OPEN || at - this.first > ahead) return;
      this.ws.send(from > 0 ? p.slice(from) : p);
      this.next = at;
    }
  }

  private send(m: object): void {
    if (this.live && this.ws?.readyState === WebSocket.OPEN) this.ws.send(JSON.stringify(m));
  }

  private gone(code: number): void {
    clearTimeout(this.watch);
    this.ws = null;
    this.live = false;
    if (code === ended || code === refused) return this.close(this.word, code === refused);
    if (code === elsewhere) return this.close("This terminal goes on in another tab", false);
    if (this.word) return this.close(this.word, false);
    const now = Date.now();
    if (!this.lostAt) {
      this.lostAt = now;
      this.on.lost();
    }
    if (!this.session) return this.close("The gateway did not open the terminal. Look at your connection, then try again", true);
    if (this.back && now - this.lostAt > this.back || !this.back && this.tries >= retries.length) {
      return this.close(`The connection was lost for too long, so the session has ended. Look at your connection, then open it again`, false);
    }
    this.again(retries[Math.min(this.tries++, retries.length - 1)]!);
  }

  private again(after: number): void {
    clearTimeout(this.retry);
    if (this.ws) return;
    this.retry = window.setTimeout(() => this.connect(), after);
  }

  private close(text: string, no: boolean): void {
    clearTimeout(this.retry);
    this.lostAt = 0;
    this.session = "";
    const t = text.charAt(0).toUpperCase() + text.slice(1);
    this.on.closed({ text: /[.!?]$/.test(t) ? t : t + ".", refused: no });
  }
}
