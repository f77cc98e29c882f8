// What the marks of a recording are.

export interface Mark {
  at: number; // seconds since the recording began
  label: string;
}

const shownLabel = 120; // characters

// The gateway alone writes marks, and what an engineer chose comes after a
// prefix of ours: no command can pass for a freeze.
const kinds: [RegExp, string, string][] = [
  [/^exec: /, "command", "command"],
  [/^(shell|exec)$/, "channel", "channel"],
  [/^[a-z-]+: /, "", "channel"],
  [/^frozen by /, "frozen", "frozen"],
  [/^thawed by /, "thawed", "thawed"],
  [/^watched by /, "watched", "watched"],
  [/^(ended |a channel )/, "ended", "end"],
];

export function classify(label: string): { kind: string; word: string; text: string } {
  for (const [start, kind, word] of kinds) {
    if (!start.test(label)) continue;
    const text = kind === "command" ? label.slice("exec: ".length) : kind === "channel" || kind === "" ? label : label.replace(/^(frozen|thawed|watched) /, "");
    return { kind: kind || "channel", word, text };
  }
  return { kind: "told", word: "told", text: label };
}

/** line is a mark as the index shows it: when, what kind, what. */
export function line(m: Mark): HTMLElement[] {
  const { word, text } = classify(m.label);
  return [span("at", clock(m.at)), span("kind", word), span("text", text.slice(0, shownLabel))];
}

function span(name: string, text: string): HTMLElement {
  const s = document.createElement("span");
  s.className = name;
  s.textContent = text;
  return s;
}

export function clock(s: number): string {
  const whole = Math.floor(s);
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  const rest = `${String(minutes % 60).padStart(hours ? 2 : 1, "0")}:${String(whole % 60).padStart(2, "0")}`;
  return hours ? `${hours}:${rest}` : rest;
}
