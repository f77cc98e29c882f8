// Live pages: the stream says what has changed, and the regions that show it
// are read anew from the server.

import { each, find, say } from "./dom";

const settle = 200; // ms: several changes at once are one refresh

interface Update {
  name: string;
  vendor?: string;
  person?: string;
  target?: string;
}

interface Count {
  id: string;
  bytes_in: number;
  bytes_out: number;
  running?: string[];
}

type Dress = (root: ParentNode) => void;

export function startLive(dress: Dress): void {
  const url = document.body.dataset.stream;
  if (!url || !find("[data-live]")) return;
  let timer = 0;
  let dirty = false;
  const due = new Set<string>();
  const refreshSoon = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      if (document.hidden) {
        dirty = true;
        return;
      }
      const names = [...due];
      due.clear();
      void refresh(names, dress);
    }, settle);
  };

  const stream = new EventSource(url);
  let lost = true; // what changed between the page and its stream was missed
  stream.addEventListener("change", (e) => {
    const u = JSON.parse(e.data) as Update;
    due.add(u.name);
    announce(u);
    refreshSoon();
  });
  stream.addEventListener("counts", (e) => {
    showCounts(JSON.parse(e.data) as Count[]);
    if (!find('[data-live~="counts."]')) return;
    due.add("counts."); // what grows with the bytes
    refreshSoon();
  });
  stream.addEventListener("nodes", () => {
    due.add("nodes."); // another node has fallen silent, or answers again
    refreshSoon();
  });
  stream.addEventListener("open", () => {
    linkState("");
    if (lost) due.add("*");
    if (lost) refreshSoon();
    lost = false;
  });
  stream.addEventListener("error", () => {
    lost = true;
    const closed = stream.readyState === EventSource.CLOSED;
    linkState(closed ? "Not live any more: reload" : "Reconnecting…");
    if (closed) {
      due.add("*"); // if the login has ended, this leads to the page that says why
      refreshSoon();
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && dirty) {
      dirty = false;
      refreshSoon();
    }
  });
  addEventListener("pagehide", () => stream.close());
}

// A short break is the server asking anew who we are: it is not worth a word.
let linkTimer = 0;
function linkState(text: string): void {
  clearTimeout(linkTimer);
  const el = find("#link");
  if (!el) return;
  linkTimer = window.setTimeout(() => {
    el.hidden = text === "";
    say(el, text);
  }, text ? 5000 : 0);
}

function wants(region: HTMLElement, names: string[]): boolean {
  const prefixes = region.dataset.live!.split(" ");
  return names.includes("*") || prefixes.includes("*") || names.some((n) => prefixes.some((p) => n.startsWith(p)));
}

// A region that somebody is typing in, or has opened a part of, is left alone.
function inUse(region: HTMLElement): boolean {
  const at = document.activeElement;
  return (at instanceof HTMLElement && region.contains(at) && at.matches("input, textarea, select")) || region.querySelector("details[open]") !== null;
}

async function refresh(names: string[], dress: Dress): Promise<void> {
  const regions = Array.from(document.querySelectorAll<HTMLElement>("[data-live]")).filter((r) => wants(r, names) && !inUse(r));
  if (regions.length === 0) return;
  let page: Document;
  try {
    const res = await fetch(location.href, { credentials: "same-origin", headers: { Accept: "text/html", "X-Portcullis-Live": "1" } });
    if (res.redirected && new URL(res.url).pathname === "/login") {
      location.assign(res.url);
      return;
    }
    if (!res.ok) return;
    page = new DOMParser().parseFromString(await res.text(), "text/html");
  } catch {
    return; // the stream says when the gateway answers again
  }
  for (const region of regions) {
    const fresh = page.getElementById(region.id);
    if (!fresh || fresh.innerHTML === region.dataset.was) continue;
    swap(region, fresh);
    dress(fresh);
  }
}

// The focus stays on the same link or button when its region is replaced.
function swap(region: HTMLElement, fresh: HTMLElement): void {
  const at = document.activeElement;
  let path = "";
  if (at instanceof HTMLAnchorElement && region.contains(at)) path = `a[href="${CSS.escape(at.getAttribute("href") ?? "")}"]`;
  fresh.dataset.was = fresh.innerHTML;
  const y = scrollY;
  region.replaceWith(document.adoptNode(fresh));
  if (path) find(path, fresh)?.focus({ preventScroll: true });
  scrollTo({ top: y });
}

const spoken: Record<string, string> = {
  "session.live": "Session opened",
  "session.ended": "Session ended",
  "session.frozen": "Session frozen",
  "session.thawed": "Session thawed",
  "request.asked": "New request",
  "grant.opened": "Window opened",
  "grant.closed": "Window closed",
  "suspension.ordered": "Suspended",
};

function announce(u: Update): void {
  const word = spoken[u.name];
  if (word) say(find("#news"), [word, u.person, u.vendor, u.target].filter(Boolean).join(", "));
}

function showCounts(counts: Count[]): void {
  for (const c of counts) {
    each(`[data-bytes="${CSS.escape(c.id)}"]`, (el) => {
      el.textContent = `↓ ${size(c.bytes_out)} ↑ ${size(c.bytes_in)}`;
    });
    each(`[data-running="${CSS.escape(c.id)}"]`, (el) => {
      el.textContent = c.running?.join(", ") ?? "nothing runs";
    });
  }
}

export function size(n: number): string {
  if (n < 1000) return `${n} B`;
  let unit = "";
  for (const u of ["kB", "MB", "GB", "TB"]) {
    n /= 1000;
    unit = u;
    if (n < 999.5) break;
  }
  return `${n < 9.95 ? n.toFixed(1) : n.toFixed(0)} ${unit}`;
}
