// The terminal of one grant: touch, open, type; come back after a short loss.

import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { busy, each, find, say } from "./dom";
import { Closed, Link } from "./link";
import { sign } from "./sign";

const sizeSettles = 100; // ms
const phone = matchMedia("(max-width: 40rem)");

// One dark screen in both schemes: programs choose their colours for it.
const theme = {
  background: "#10181a",
  foreground: "#e6ecea",
  cursor: "#6ccad2",
  cursorAccent: "#10181a",
  selectionBackground: "#2f5d63",
  black: "#10181a",
  brightBlack: "#7f8d8a",
};

function start(stage: HTMLElement): void {
  const grant = stage.dataset.grant!;
  const kept = "terminal:" + grant; // the session of this tab, so that a reload comes back to it
  const cover = find("#term-cover")!;
  const open = find<HTMLButtonElement>("#term-open")!;
  const copy = find<HTMLButtonElement>("#term-copy")!;
  const paste = find<HTMLButtonElement>("#term-paste")!;
  const end = find<HTMLButtonElement>("#term-end")!;
  const reader = find<HTMLInputElement>("#term-reader")!;
  const face = getComputedStyle(document.documentElement).getPropertyValue("--mono").trim();

  const term = new Terminal({
    theme,
    fontFamily: face || "monospace",
    fontSize: phone.matches ? 12 : 14,
    cursorBlink: false,
    minimumContrastRatio: 4.5,
    scrollback: 5000,
    screenReaderMode: reader.checked,
    linkHandler: { activate: () => {} }, // a link that the target draws leads nowhere
  });
  const fit = new FitAddon();
  term.loadAddon(fit);
  term.open(find("#term")!);
  fit.fit();

  const link = new Link(term, () => `/terminal/${encodeURIComponent(grant)}/socket`, {
    opened(session) {
      sessionStorage.setItem(kept, session);
      state("Live", "ok");
      cover.hidden = true;
      tools(true);
      term.focus();
    },
    lost() {
      state("Reconnecting… what you type waits", "wait");
    },
    closed(why) {
      sessionStorage.removeItem(kept);
      over(why);
    },
  });

  function state(text: string, tone: string): void {
    const el = find("#term-state")!;
    el.className = "tag " + tone;
    say(el, text);
  }

  function tools(on: boolean): void {
    paste.disabled = end.disabled = !on;
  }

  function over(why: Closed): void {
    tools(false);
    state(why.refused ? "Refused" : "Ended", why.refused ? "stop" : "off");
    say(find("#term-why"), why.text, why.refused);
    cover.hidden = false;
    cover.classList.add("ended");
    open.textContent = "Open again by touch";
    open.focus();
  }

  open.addEventListener("click", async () => {
    busy(open, true);
    say(find("#term-why"), "");
    try {
      if (await sign("session.open", { grant })) {
        state("Opening…", "wait");
        term.reset();
        fit.fit();
        link.open("");
      }
    } catch (e) {
      say(find("#term-why"), (e as Error).message, true);
    } finally {
      busy(open, false);
    }
  });
  end.addEventListener("click", () => link.end());

  bindClipboard(term, copy, paste);
  bindKeys(term, link, end);
  reader.checked = localStorage.getItem("terminal-reader") === "yes";
  const readAloud = () => {
    term.options.screenReaderMode = reader.checked;
    localStorage.setItem("terminal-reader", reader.checked ? "yes" : "no");
  };
  reader.addEventListener("change", readAloud);
  readAloud();

  let settle = 0;
  new ResizeObserver(() => {
    clearTimeout(settle);
    settle = window.setTimeout(() => fit.fit(), sizeSettles);
  }).observe(find("#term")!);
  term.onResize(({ cols, rows }) => link.size(cols, rows));

  const before = sessionStorage.getItem(kept);
  if (before) {
    state("Coming back…", "wait");
    cover.hidden = true;
    link.open(before);
  }
}

function bindClipboard(term: Terminal, copy: HTMLButtonElement, paste: HTMLButtonElement): void {
  const take = () => {
    const text = term.getSelection();
    if (text) void navigator.clipboard?.writeText(text);
    term.focus();
  };
  term.onSelectionChange(() => (copy.disabled = !term.hasSelection()));
  copy.addEventListener("click", take);
  const put = (text: string) => {
    // Without bracketed paste each line runs as it lands.
    const lines = text.trimEnd().split(/\r\n|\r|\n/).length;
    if (lines > 1 && !term.modes.bracketedPasteMode && !confirm(`Paste ${lines} lines? The program there runs each line at once.`)) return;
    term.paste(text);
  };
  paste.addEventListener("click", async () => {
    try {
      put(await navigator.clipboard.readText());
    } catch {
      say(find("#term-state"), "The browser did not let the page read the clipboard; press Ctrl+Shift+V");
    }
    term.focus();
  });
  term.element?.addEventListener("paste", (e) => {
    e.preventDefault();
    e.stopPropagation();
    put((e as ClipboardEvent).clipboardData?.getData("text/plain") ?? "");
  }, true);
  term.attachCustomKeyEventHandler((e) => {
    if (!e.ctrlKey || !e.shiftKey) return true;
    if (e.type === "keydown" && e.code === "KeyC") {
      e.preventDefault();
      take();
    }
    if (e.type === "keydown" && e.code === "Home") {
      e.preventDefault();
      find("#term-reader")?.focus(); // the way out for who has no mouse
    }
    return !["KeyC", "KeyV", "Home"].includes(e.code);
  });
}

const keys: Record<string, [plain: string, application: string]> = {
  esc: ["\x1b", "\x1b"],
  tab: ["\t", "\t"],
  up: ["\x1b[A", "\x1bOA"],
  down: ["\x1b[B", "\x1bOB"],
  right: ["\x1b[C", "\x1bOC"],
  left: ["\x1b[D", "\x1bOD"],
};

// The keys that a phone's keyboard lacks; Ctrl holds for the next letter.
function bindKeys(term: Terminal, link: Link, end: HTMLButtonElement): void {
  let ctrl: HTMLButtonElement | null = null;
  const letGo = () => {
    ctrl?.setAttribute("aria-pressed", "false");
    ctrl = null;
  };
  each<HTMLButtonElement>("[data-key]", (b) => {
    b.addEventListener("mousedown", (e) => e.preventDefault()); // the keyboard stays up
    b.addEventListener("click", () => {
      if (end.disabled) return;
      const key = b.dataset.key!;
      if (key === "ctrl") {
        const on = ctrl === null;
        letGo();
        if (on) {
          ctrl = b;
          b.setAttribute("aria-pressed", "true");
        }
      } else link.type(keys[key]![term.modes.applicationCursorKeysMode ? 1 : 0]);
      term.focus();
    });
  });
  term.onData((text) => {
    if (ctrl && /^[a-z@[\\\]^_]$/i.test(text)) text = String.fromCharCode(text.toUpperCase().charCodeAt(0) & 31);
    letGo();
    link.type(text);
  });
  term.onBinary((text) => link.typeBytes(Uint8Array.from(text, (c) => c.charCodeAt(0) & 255)));
}

const stage = find(".terminal");
if (stage) start(stage);
