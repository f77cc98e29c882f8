// Forms that become a signed act: <form data-act="KIND">.

import { busy, each, find, say } from "./dom";
import { post } from "./http";
import { sign, Signed } from "./sign";

type Params = Record<string, any>;

/** bind gives every such form below root its way. */
export function bindActs(root: ParentNode = document): void {
  each<HTMLFormElement>("form[data-act]", (form) => {
    if (form.dataset.bound) return;
    form.dataset.bound = "yes";
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      void run(form, e.submitter as HTMLButtonElement | null);
    });
  }, root);
}

async function run(form: HTMLFormElement, button: HTMLButtonElement | null): Promise<void> {
  const status = statusOf(form);
  say(status, "");
  busy(button, true);
  try {
    const done = await sign(form.dataset.act!, collect(form), form.dataset.danger ?? "");
    if (done && form.dataset.enter) location.assign((await post<{ link: string }>(form.dataset.enter, {})).link);
    else if (done) finish(form, done);
  } catch (e) {
    say(status, (e as Error).message, true);
  } finally {
    busy(button, false);
  }
}

function finish(form: HTMLFormElement, done: Signed): void {
  const { show, note, then } = form.dataset;
  if (show) return reveal(show, done.result);
  if (note) return noted(form, note);
  const to = (then ?? location.pathname).replace(/\{(\w+)\}/g, (_, key) => encodeURIComponent(String(done.result?.[key] ?? "")));
  if (new URL(to, location.href).href === location.href) location.reload();
  else location.assign(to);
}

// What is shown once is put into the page and nowhere else.
function reveal(id: string, result: Params): void {
  const box = find("#" + CSS.escape(id))!;
  each("[data-field]", (el) => (el.textContent = String(result?.[el.dataset.field!] ?? "")), box);
  box.hidden = false;
  find<HTMLButtonElement>("button", box)?.focus();
}

function noted(form: HTMLFormElement, id: string): void {
  const note = find("#" + CSS.escape(id));
  if (!note) return;
  note.hidden = false;
  if (form.hasAttribute("data-auto")) {
    form.hidden = true;
    note.focus();
    return;
  }
  const time = find("[data-seconds]", note);
  let left = Number(time?.dataset.seconds ?? 0);
  const clock = setInterval(() => {
    left -= 1;
    if (time) time.textContent = `${left} s`;
    if (left <= 0 || !note.isConnected) {
      clearInterval(clock);
      note.hidden = true;
    }
  }, 1000);
}

function statusOf(form: HTMLFormElement): HTMLElement {
  const found = find(":scope > .act-status", form);
  if (found) return found;
  const p = document.createElement("p");
  p.className = "status act-status";
  p.setAttribute("role", "alert");
  form.append(p);
  return p;
}

/** collect reads a form into params: dotted names nest, data-as says how a
 * field is read, and fields in a closed <details data-part> are left out, as is
 * one whose data-with names a value that is not chosen. The form's data-rows
 * "NAME:KEY" makes a list of what is nested under NAME, its keys as KEY. */
export function collect(form: HTMLFormElement): Params {
  const params: Params = {};
  for (const el of Array.from(form.elements) as HTMLInputElement[]) {
    if (!el.name || el.matches(":disabled") || el.closest("details[data-part]:not([open])") || !wanted(form, el)) continue;
    const value = read(el);
    if (value === undefined) continue;
    const list = el.dataset.as === "list" || el.dataset.as === "paths";
    for (const one of el.dataset.as === "paths" ? (value as string[]) : [value]) put(params, el.name.split("."), one, list);
  }
  const [name, key] = (form.dataset.rows ?? "").split(":");
  if (name && key && params[name]) params[name] = Object.entries<Params>(params[name]).map(([k, row]) => ({ [key]: k, ...row }));
  return params;
}

function wanted(form: HTMLFormElement, el: HTMLInputElement): boolean {
  const [name, value] = (el.dataset.with ?? "").split("=");
  return !name || new FormData(form).get(name) === value;
}

function read(el: HTMLInputElement): unknown {
  const text = el.value.replaceAll("\r\n", "\n").trim();
  if ((el.type === "checkbox" || el.type === "radio") && !el.checked) return undefined;
  if (el.type === "file") return undefined;
  const keep = el.hasAttribute("data-keep");
  switch (el.dataset.as) {
    case "bool":
      return text === "true";
    case "minutes":
      return Math.round(Number(text) * 60);
    case "hours":
      return Math.round(Number(text) * 3600);
    case "utc":
      return text ? new Date(text + "Z").toISOString() : undefined;
    case "lines": {
      const lines = text.split("\n").map((l) => l.trim()).filter(Boolean);
      return lines.length || keep ? lines : undefined;
    }
    case "paths": // each is an ability of its own
      return text.split(/\s+/).filter(Boolean).map((p) => "path " + p);
    case "number":
      return text === "" ? undefined : Number(text);
    case "names":
      return text.split("\n").map((l) => l.trim().split(/\s+/)).filter((w) => w[0]).map(([name, ...addresses]) => ({ name, addresses }));
    case "accounts":
      return text.split("\n").map((l) => l.trim()).filter(Boolean).map(account);
  }
  return text === "" && !keep ? undefined : text;
}

/** account reads one line: name, login (- for none), proof, file, KEY=VALUE…;
 * words with blanks stand in quotes. accountLine of console.go writes it. */
function account(line: string): Params {
  const words = (line.match(/(?:[^\s"]|"(?:[^"\\]|\\.)*")+/g) ?? []).map((w) => w.replace(/"(?:[^"\\]|\\.)*"/g, (q) => JSON.parse(q) as string));
  const [name, login, proof, ...rest] = words;
  const a: Params = { name, login: login === "-" ? "" : login ?? "", proof: proof ?? "" };
  for (const word of rest) {
    const [, key, value] = /^(header|token_url|scopes|page|action|user|password|json|done|token|failed|cookie|field\.[^=]+)=(.*)$/.exec(word) ?? [];
    if (!key) a.secret_file = a.secret_file ? `${a.secret_file} ${word}` : word;
    else if (key === "scopes") a.scopes = value!.split(" ");
    else if (key === "header" || key === "token_url") a[key] = value;
    else if (key.startsWith("field.")) ((a.form ??= {}).fields ??= {})[key.slice("field.".length)] = value;
    else (a.form ??= {})[key] = key === "json" ? value === "true" : key === "done" ? Number(value) : value;
  }
  return a;
}

function put(into: Params, path: string[], value: unknown, list: boolean): void {
  const last = path[path.length - 1]!;
  let at = into;
  for (const key of path.slice(0, -1)) at = at[key] ??= {};
  if (list) (at[last] ??= []).push(value);
  else at[last] = value;
}
