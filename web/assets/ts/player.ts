// The player of a recording, or of a live session while it goes on.

import { create, type Player } from "asciinema-player";
import { find } from "./dom";

interface Mark {
  at: number;
  label: string;
}

const longIdle = 3; // seconds: longer pauses are shortened
const firstLook = 2; // seconds: what stands there before it is played
const shownLabel = 60; // characters

async function start(box: HTMLElement): Promise<void> {
  const id = encodeURIComponent(box.dataset.session!);
  const options = { fit: "width" as const, idleTimeLimit: longIdle, terminalFontSize: "15px", controls: true, theme: "asciinema" };
  if (box.dataset.live === "true") {
    box.replaceChildren();
    const source = { driver: "eventsource", url: `/api/v1/recordings/${id}/live`, bufferTime: 0.2 };
    create(source as never, box, { ...options, autoPlay: true, cursorMode: "steady" } as never);
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
  index(player, marks);
}

// Marks of an asciicast v3 file: its times are from event to event.
function marksOf(cast: string): Mark[] {
  const marks: Mark[] = [];
  let at = 0;
  for (const line of cast.split("\n").slice(1)) {
    if (!line.startsWith("[")) continue;
    try {
      const [wait, code, data] = JSON.parse(line) as [number, string, string];
      at += wait;
      if (code === "m") marks.push({ at, label: data });
    } catch {
      // A line that is cut short ends the recording; what came before plays.
    }
  }
  return marks;
}

function index(player: Player, marks: Mark[]): void {
  const list = find("#marks");
  if (!list) return;
  if (marks.length === 0) {
    list.firstElementChild!.textContent = "This recording has no marks.";
    return;
  }
  list.replaceChildren(
    ...marks.map((m, i) => {
      const li = document.createElement("li");
      const b = document.createElement("button");
      b.type = "button";
      b.className = "quiet";
      b.textContent = `${clock(m.at)}  ${m.label.slice(0, shownLabel)}`;
      b.onclick = () => void player.seek({ marker: i });
      li.append(b);
      return li;
    }),
  );
}

function clock(s: number): string {
  return `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
}

const box = find("#player");
if (box) void start(box);
