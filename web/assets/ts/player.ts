// The player of a recording, or of a live session while it goes on, with the
// index at its side.

import { create, type Player } from "asciinema-player";
import { find } from "./dom";
import { follow } from "./follow";
import { classify, clock, line, type Mark } from "./marks";

const longIdle = 3; // seconds: longer pauses are shortened
const firstLook = 2; // seconds: what stands there before it is played

async function start(box: HTMLElement): Promise<void> {
  const id = encodeURIComponent(box.dataset.session!);
  const options = { fit: "width" as const, idleTimeLimit: longIdle, terminalFontSize: "15px", controls: true, theme: "asciinema" };
  if (box.dataset.watch === "true") {
    box.replaceChildren();
    const list = new Index((m) => link(`?at=${m.at.toFixed(2)}`, m));
    create(follow(`/api/v1/recordings/${id}/live`, list) as never, box, { ...options, autoPlay: true, cursorMode: "steady" } as never);
    return;
  }
  const status = find(".status", box)!;
  const res = await fetch(`/api/v1/recordings/${id}/asciicast?version=3`, { credentials: "same-origin" }).catch(() => null);
  if (!res?.ok) {
    const why = await res?.json().catch(() => null);
    status.textContent = why?.detail ? `${why.detail}. ${why.next ?? ""}` : "The recording could not be loaded. Reload the page.";
    return;
  }
  const cast = await res.text();
  box.replaceChildren();
  const marks = marksOf(cast);
  const at = Number(box.dataset.at) || 0;
  const player = create({ data: cast } as never, box, { ...options, preload: true, startAt: at, poster: `npt:${at || firstLook}`, markers: marks.map((m) => [m.at, m.label] as [number, string]) });
  const list = new Index((m) => button(player, m, marks.indexOf(m)));
  marks.forEach((m) => list.add(m));
  if (marks.length === 0) list.empty("This recording has no marks.");
}

// Marks of an asciicast v3 file: its times are from event to event.
function marksOf(cast: string): Mark[] {
  const marks: Mark[] = [];
  let at = 0;
  for (const text of cast.split("\n").slice(1)) {
    if (!text.startsWith("[")) continue;
    try {
      const [wait, code, data] = JSON.parse(text) as [number, string, string];
      at += wait;
      if (code === "m") marks.push({ at, label: data });
    } catch {
      // A line that is cut short ends the recording; what came before plays.
    }
  }
  return marks;
}

// Index is the list of marks; item makes what is pressed.
class Index {
  private readonly list = find("#marks");
  private any = false;

  constructor(private readonly item: (m: Mark) => HTMLElement) {}

  add(m: Mark): void {
    if (!this.list) return;
    if (!this.any) this.list.replaceChildren();
    this.any = true;
    const li = document.createElement("li");
    li.append(this.item(m));
    this.list.append(li);
  }

  empty(words: string): void {
    this.any = false;
    const li = document.createElement("li");
    li.className = "none";
    li.textContent = words;
    this.list?.replaceChildren(li);
  }
}

// By its number: the player's clock leaves long pauses out, a mark's time does not.
function button(player: Player, m: Mark, i: number): HTMLElement {
  const b = document.createElement("button");
  b.type = "button";
  b.className = "quiet mark " + classify(m.label).kind;
  b.append(...line(m));
  b.onclick = () => void player.seek({ marker: i });
  return b;
}

// A live stream has no way back: its marks lead to the replay of what is there.
function link(to: string, m: Mark): HTMLElement {
  const a = document.createElement("a");
  a.href = to;
  a.className = "mark " + classify(m.label).kind;
  a.append(...line(m));
  a.title = `Replay from ${clock(m.at)}`;
  return a;
}

const box = find("#player");
if (box) void start(box);
