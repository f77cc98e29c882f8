// What happened in a recording, as the gateway's index has it, in the words
// of the list at the player's side.

import { get } from "./http";
import { size } from "./live";
import { classify, type Mark, type Sort } from "./marks";

const second = 1e9; // ns

interface Timed {
  at_ns: number;
  channel: number;
}

interface Channel extends Timed {
  kind: string;
  command?: string;
  to?: string;
  ended_ns?: number;
  status?: number;
  signal?: string;
  bytes_out: number;
  bytes_in: number;
}

interface File extends Timed {
  op: string;
  path: string;
  to?: string;
  offset?: number;
  bytes: number;
  sha256?: string;
  whole?: boolean;
  verdict: string;
  why?: string;
}

interface Flow extends Timed {
  to: string;
  from: string;
  bytes_in: number;
  bytes_out: number;
  kept_in: number;
  kept_out: number;
  sha256_in?: string;
  sha256_out?: string;
  ended?: boolean;
}

interface Told {
  channels: Channel[];
  files: File[];
  flows: Flow[];
  notes: { at_ns: number; text: string }[];
  cut?: boolean;
}

/** Entry is one line of the list. */
export interface Entry extends Sort {
  at: number; // seconds since the recording began
  facts?: string; // what else is known, in a short line
  sums?: [name: string, sha256: string][];
  bytes?: string; // where the bytes of a file can be had
}

export const ofMark = (m: Mark): Entry => ({ at: m.at, ...classify(m.label) });

/** happened reads the index of a session, in the order of time; sent says
 * whether the reader may have the files that the engineer sent. */
export async function happened(session: string, sent: boolean): Promise<{ entries: Entry[]; cut: boolean }> {
  const told = await get<Told>(`/api/v1/recordings/${session}/index`);
  const flows = new Set(told.flows.map((f) => f.channel));
  const entries = [
    ...told.channels.filter((c) => !flows.has(c.channel)).map(ofChannel),
    ...told.files.map((f) => ofFile(f, f.op === "read" || sent ? `/api/v1/recordings/${session}` : "")),
    ...told.flows.map(ofFlow),
    ...told.notes.map((n) => ofMark({ at: n.at_ns / second, label: n.text })),
  ];
  entries.sort((a, b) => a.at - b.at);
  return { entries, cut: told.cut ?? false };
}

function ofChannel(c: Channel): Entry {
  const at = c.at_ns / second;
  const command = c.kind === "exec";
  const facts = [c.ended_ns ? ended(c) : "no end told", `↓ ${size(c.bytes_out)} ↑ ${size(c.bytes_in)}`];
  if (c.kind === "forward") return { at, kind: "forward", tone: "forward", word: "forward", text: c.to ?? "", facts: facts.join(" · ") };
  return { at, kind: "command", tone: command ? "command" : "channel", word: command ? "command" : c.kind, text: c.command ?? "", facts: facts.join(" · ") };
}

function ended(c: Channel): string {
  if (c.signal) return `ended by ${c.signal}`;
  return c.status === undefined ? "ended" : `status ${c.status}`;
}

function ofFile(f: File, recording: string): Entry {
  const moves = f.op === "read" || f.op === "write";
  const facts: string[] = [];
  if (moves && f.verdict !== "refused") facts.push(f.offset ? `${size(f.bytes)} from byte ${f.offset}` : size(f.bytes), f.whole ? "whole" : "a part");
  if (f.why) facts.push(f.why);
  const well = f.verdict === "done";
  return {
    at: f.at_ns / second,
    kind: "file",
    tone: well ? "file" : "wrong",
    word: well ? f.op : `${f.verdict} ${f.op}`,
    text: f.to ? `${f.path} → ${f.to}` : f.path,
    facts: facts.join(" · "),
    sums: f.sha256 ? [["SHA-256", f.sha256]] : [],
    bytes: f.sha256 && recording && f.bytes > 0 ? `${recording}/channels/${f.channel}/files/${f.sha256}` : "",
  };
}

function ofFlow(f: Flow): Entry {
  const kept = f.kept_in + f.kept_out < f.bytes_in + f.bytes_out ? `${size(f.kept_in + f.kept_out)} kept` : "all kept";
  const sums: [string, string][] = [];
  if (f.sha256_out) sums.push(["SHA-256 from the target", f.sha256_out]);
  if (f.sha256_in) sums.push(["SHA-256 to the target", f.sha256_in]);
  return {
    at: f.at_ns / second,
    kind: "forward",
    tone: "forward",
    word: "forward",
    text: f.to,
    facts: [f.from && `from ${f.from}`, `↓ ${size(f.bytes_out)} ↑ ${size(f.bytes_in)}`, kept, f.ended ? "" : "did not end"].filter(Boolean).join(" · "),
    sums,
  };
}
