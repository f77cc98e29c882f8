// Countdowns, and times in the reader's own zone beside UTC.

import { each } from "./dom";

const soon = 5 * 60; // seconds

export function startClock(): void {
  tick();
  setInterval(tick, 1000);
}

/** tick brings every countdown below root up to date. */
export function tick(root: ParentNode = document): void {
  const now = Date.now();
  each<HTMLTimeElement>("time[data-countdown]", (el) => {
    const left = Math.floor((Date.parse(el.dateTime) - now) / 1000);
    el.textContent = left <= 0 ? "over" : words(left);
    el.classList.toggle("soon", left < soon);
  }, root);
  each<HTMLTimeElement>("time[data-clock]", (el) => {
    el.textContent = new Date(now).toISOString().slice(0, 19).replace("T", " ") + " UTC";
  }, root);
}

export function words(s: number): string {
  const d = Math.floor(s / 86400), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  const two = (n: number) => String(n).padStart(2, "0");
  if (d >= 2) return `${d} d ${h % 24} h`;
  if (h > 0) return `${h}:${two(m)}:${two(s % 60)}`;
  return `${m}:${two(s % 60)}`;
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** localise puts the reader's own time on each UTC time, as its title. */
export function localise(root: ParentNode = document): void {
  each<HTMLTimeElement>("time[data-local]", (el) => {
    const t = new Date(el.dateTime);
    if (t.getTimezoneOffset() !== 0) el.title = `${t.toLocaleString([], { dateStyle: "medium", timeStyle: "short" })} ${zone}`;
  }, root);
}

/** hints shows, under a field in UTC, the reader's own time. */
export function bindHints(): void {
  each<HTMLInputElement>("input[data-hint]", (input) => {
    const hint = document.getElementById(input.dataset.hint!)!;
    const show = () => {
      const t = new Date(input.value + "Z");
      const known = input.value !== "" && !Number.isNaN(t.getTime());
      hint.textContent = known ? `${t.toLocaleString([], { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })}, ${zone}` : "";
    };
    input.addEventListener("input", show);
    show();
  });
}
