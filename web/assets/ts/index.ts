// The index at a player's side: what happened, to be narrowed, searched and
// gone to by keyboard.

import { each, find, say } from "./dom";
import type { Entry } from "./events";
import { clock, span, type Kind } from "./marks";

const shownText = 300; // characters of a line
const worthSifting = 12; // lines, from which on there is a field to find in them
const kinds: [Kind, string][] = [["command", "Commands"], ["file", "Files"], ["forward", "Forwards"], ["note", "Notes"]];

export class Index {
  private readonly list = find("#marks");
  private readonly chips = find<HTMLFieldSetElement>("#kinds");
  private readonly sift = find("#sift");
  private readonly counts = new Map<Kind, number>();
  private shown: Kind | "" = "";
  private needle = "";
  private lines = 0;

  /** press makes what a line is pressed by. */
  constructor(private readonly press: (e: Entry) => HTMLElement) {
    this.list?.addEventListener("keydown", (e) => this.walk(e));
    const field = this.sift && find<HTMLInputElement>("input", this.sift);
    field?.addEventListener("input", () => {
      this.needle = field.value.trim().toLowerCase();
      this.narrow();
    });
  }

  add(e: Entry): void {
    if (!this.list) return;
    if (this.lines === 0) this.list.replaceChildren();
    this.lines += 1;
    this.counts.set(e.kind, (this.counts.get(e.kind) ?? 0) + 1);
    const li = document.createElement("li");
    li.dataset.kind = e.kind;
    li.append(this.press(e), ...facts(e));
    li.hidden = !this.fits(li);
    this.list.append(li);
    this.draw();
  }

  empty(words: string): void {
    this.lines = 0;
    this.counts.clear();
    const li = document.createElement("li");
    li.className = "none";
    li.textContent = words;
    this.list?.replaceChildren(li);
    this.draw();
  }

  say(words: string): void {
    say(find("#index-says"), words);
  }

  // One radio for each kind that is there: arrows go through them natively.
  private draw(): void {
    const present = kinds.filter(([k]) => this.counts.get(k));
    if (this.sift) this.sift.hidden = this.lines < worthSifting;
    if (!this.chips) return;
    this.chips.hidden = present.length < 2;
    for (const [kind, word] of [["", "All"] as ["", string], ...present]) {
      const id = `kind-${kind || "all"}`;
      const n = kind === "" ? this.lines : this.counts.get(kind)!;
      const there = find(`label[for="${id}"]`, this.chips);
      if (there) there.textContent = `${word} ${n}`;
      else this.chips.append(...this.chip(id, kind, `${word} ${n}`));
    }
  }

  private chip(id: string, kind: Kind | "", text: string): HTMLElement[] {
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name: "kind", id, checked: kind === this.shown });
    radio.onchange = () => {
      this.shown = kind;
      this.narrow();
    };
    const label = document.createElement("label");
    label.htmlFor = id;
    label.textContent = text;
    return [radio, label];
  }

  private narrow(): void {
    let left = 0;
    each<HTMLLIElement>("li[data-kind]", (li) => {
      li.hidden = !this.fits(li);
      if (!li.hidden) left += 1;
    }, this.list!);
    this.say(this.needle ? `${left} of ${this.lines}` : "");
  }

  private fits(li: HTMLElement): boolean {
    return (this.shown === "" || li.dataset.kind === this.shown) && (this.needle === "" || li.textContent!.toLowerCase().includes(this.needle));
  }

  private walk(e: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[e.key];
    if (step === undefined || !this.list) return;
    const all = Array.from(this.list.querySelectorAll<HTMLElement>("li:not([hidden]) > .mark"));
    if (all.length === 0) return;
    e.preventDefault();
    const li = (document.activeElement as HTMLElement | null)?.closest("li");
    const here = all.findIndex((el) => el.parentElement === li);
    all[Math.min(all.length - 1, Math.max(0, here + step))]!.focus();
  }
}

/** line is an entry in short: when, what kind, what. */
export function line(e: Entry): HTMLElement[] {
  return [span("at", clock(e.at)), span("kind", e.word), span("text", e.text.slice(0, shownText))];
}

function facts(e: Entry): HTMLElement[] {
  const more: HTMLElement[] = [];
  if (e.facts) more.push(span("more", e.facts));
  for (const [name, sum] of e.sums ?? []) {
    const box = span("more", "");
    const code = document.createElement("code");
    code.textContent = `${sum.slice(0, 12)}…`;
    code.title = `${name}: ${sum}`;
    box.append(code, copier(name, sum));
    more.push(box);
  }
  if (e.bytes) {
    const box = span("more", "");
    const a = document.createElement("a");
    a.href = e.bytes;
    a.download = "";
    a.textContent = "Download the bytes";
    box.append(a);
    more.push(box);
  }
  return more;
}

function copier(name: string, sum: string): HTMLElement {
  const b = document.createElement("button");
  b.type = "button";
  b.className = "quiet";
  b.textContent = `Copy ${name}`;
  b.onclick = async () => {
    try {
      await navigator.clipboard.writeText(sum);
      b.textContent = "Copied";
    } catch {
      b.textContent = sum; // to be copied by hand
      return;
    }
    setTimeout(() => (b.textContent = `Copy ${name}`), 2000);
  };
  return b;
}
