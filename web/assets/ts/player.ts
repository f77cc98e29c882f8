// The player of a recording, or of a live session while it goes on, with the
// index at its side.

import { create, type Player } from "asciinema-player";
import { find } from "./dom";
import { happened, ofMark, type Entry } from "./events";
import { follow } from "./follow";
import { Index, line } from "./index";
import { clock, type Mark } from "./marks";

const longIdle = 3; // seconds: longer pauses are shortened
const firstLook = 2; // seconds: what stands there before it is played
const slack = 0.001; // seconds: the index and the marks are rounded differently

async function start(box: HTMLElement): Promise<void> {
  const id = encodeURIComponent(box.dataset.session!);
  const options = { fit: "width" as const, idleTimeLimit: longIdle, terminalFontSize: "15px", controls: true, theme: "asciinema" };
  if (box.dataset.watch === "true") {
    box.replaceChildren();
    const list = new Index((e) => link(`?at=${e.at.toFixed(2)}`, e));
    const heard = { add: (m: Mark) => list.add(ofMark(m)), empty: (words: string) => list.empty(words) };
    create(follow(`/api/v1/recordings/${id}/live`, heard) as never, box, { ...options, autoPlay: true, cursorMode: "steady" } as never);
    return;
  }
  const status = find(".status", box)!;
  const res = await fetch(`/api/v1/recordings/${id}/asciicast?version=3`, { credentials: "same-origin" }).catch(() => null);
  if (!res?.ok) {
    const why = await res?.json().catch(() => null);
    status.textContent = why?.detail ? `${why.detail}. ${why.next ?? ""}` : "The recording could not be loaded. Reload the page.";
    return;
  }
  const { marks, screen } = marksOf(await res.clone().text());
  box.replaceChildren();
  const at = Number(box.dataset.at) || 0;
  const player = create({ data: await res.text() } as never, box, { ...options, preload: true, startAt: at, poster: `npt:${at || firstLook}`, markers: marks.map((m) => [m.at, m.label] as [number, string]) });
  if (!screen) find("#no-screen")?.removeAttribute("hidden");
  await fill(new Index((e) => button(player, e, before(marks, e.at))), id, box.dataset.sent === "true", marks);
}

// The index is told by the gateway; where it cannot be read, the marks of the
// recording itself stand in.
async function fill(list: Index, id: string, sent: boolean, marks: Mark[]): Promise<void> {
  let entries = marks.map(ofMark);
  try {
    const told = await happened(id, sent);
    entries = told.entries;
    if (told.cut) list.say("There is more than this index holds; the recording has all of it.");
  } catch (e) {
    list.say(`The index could not be read: ${(e as Error).message} Its marks are shown instead.`);
  }
  entries.forEach((e) => list.add(e));
  if (entries.length === 0) list.empty("Nothing was done in this session.");
}

// Marks of an asciicast v3 file: its times are from event to event.
function marksOf(cast: string): { marks: Mark[]; screen: boolean } {
  const marks: Mark[] = [];
  let at = 0;
  let screen = false;
  for (const text of cast.split("\n").slice(1)) {
    if (!text.startsWith("[")) continue;
    try {
      const [wait, code, data] = JSON.parse(text) as [number, string, string];
      at += wait;
      screen ||= code === "o";
      if (code === "m") marks.push({ at, label: data });
    } catch {
      // A line that is cut short ends the recording; what came before plays.
    }
  }
  return { marks, screen };
}

// before is the number of the last mark that is not later; each entry of the
// index has one of its own. None is 0.
function before(marks: Mark[], at: number): number {
  let n = 0;
  while (n < marks.length && marks[n]!.at <= at + slack) n += 1;
  return Math.max(0, n - 1);
}

// By its number: the player's clock leaves long pauses out, a mark's time does not.
function button(player: Player, e: Entry, mark: number): HTMLElement {
  const b = document.createElement("button");
  b.type = "button";
  b.className = "quiet mark " + e.tone;
  b.append(...line(e));
  b.onclick = () => void player.seek({ marker: mark });
  return b;
}

// A live stream has no way back: its marks lead to the replay of what is there.
function link(to: string, e: Entry): HTMLElement {
  const a = document.createElement("a");
  a.href = to;
  a.className = "mark " + e.tone;
  a.append(...line(e));
  a.title = `Replay from ${clock(e.at)}`;
  return a;
}

const box = find("#player");
if (box) void start(box);
