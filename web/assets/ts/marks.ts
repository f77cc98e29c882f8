// What the marks of a recording are.

export interface Mark {
  at: number; // seconds since the recording began
  label: string;
}

/** The kinds that the index can be narrowed to. */
export type Kind = "command" | "file" | "forward" | "note";

export interface Sort {
  kind: Kind;
  tone: string; // class of the stylesheet
  word: string;
  text: string;
}

const operation = /^(?:(refused|failed|cut) )?(read|write|list|stat|mkdir|rmdir|remove|rename|symlink|link|setstat|copy) /;
const transfer = /^(sftp|scp|rsync|git)(?:: |$)/;
const exec = "exec: ";
const forward = "forward to ";

// The gateway alone writes marks, and what an engineer chose comes after a
// prefix of ours: no command and no path can pass for a freeze.
const told: [start: string, tone: string, word: string][] = [
  ["frozen by ", "frozen", "frozen"],
  ["thawed by ", "thawed", "thawed"],
  ["watched by ", "watched", "watched"],
  ["ended ", "ended", "end"],
  ["exit ", "ended", "end"],
  ["a channel ", "ended", "end"],
];

export function classify(label: string): Sort {
  if (label.startsWith(exec)) return { kind: "command", tone: "command", word: "command", text: label.slice(exec.length) };
  const op = operation.exec(label);
  if (op) return { kind: "file", tone: op[1] ? "wrong" : "file", word: op[1] ? `${op[1]} ${op[2]}` : op[2]!, text: label.slice(op[0].length) };
  if (label.startsWith(forward)) return { kind: "forward", tone: "forward", word: "forward", text: label.slice(forward.length) };
  const over = transfer.exec(label);
  if (over) return { kind: "command", tone: "channel", word: over[1]!, text: label.slice(over[0].length) || "began" };
  for (const [start, tone, word] of told) {
    if (label.startsWith(start)) return { kind: "note", tone, word, text: tone === "ended" ? label : label.slice(start.length) };
  }
  if (label === "shell" || label === "exec" || /^[a-z-]+: /.test(label)) return { kind: "command", tone: "channel", word: "channel", text: label };
  return { kind: "note", tone: "told", word: "told", text: label };
}

export function span(name: string, text: string): HTMLElement {
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
