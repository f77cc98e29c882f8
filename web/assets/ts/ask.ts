// The request form: accounts of the chosen target only, and policy's verdict
// beside it while it is filled in.

import { each, find } from "./dom";
import { applyIfs } from "./ifs";

const pause = 500; // ms after the last key

export function bindAsk(): void {
  const form = find<HTMLFormElement>("#ask");
  if (!form) return;
  const target = find<HTMLSelectElement>("#target", form)!;
  target.addEventListener("change", () => {
    accounts(form, target.value);
    find<HTMLInputElement>("#kind", form)!.value = target.selectedOptions[0]?.dataset.kind ?? "ssh";
    applyIfs(form);
  });
  accounts(form, target.value);
  let timer = 0;
  let latest = 0;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    const mine = ++latest;
    timer = window.setTimeout(() => void verdict(form, () => mine === latest), pause);
  });
}

function accounts(form: HTMLFormElement, of: string): void {
  const select = find<HTMLSelectElement>("#account", form)!;
  each<HTMLOptionElement>("option", (o) => (o.hidden = o.disabled = of !== "" && o.dataset.of !== of), select);
  if (select.selectedOptions[0]?.disabled) select.value = find<HTMLOptionElement>("option:not(:disabled)", select)?.value ?? "";
  const first = Array.from(select.options).find((o) => !o.disabled);
  if (first && select.selectedOptions[0]?.disabled !== false) first.selected = true;
}

async function verdict(form: HTMLFormElement, current: () => boolean): Promise<void> {
  const q = new URLSearchParams();
  for (const [k, v] of new FormData(form)) if (typeof v === "string") q.append(k, v);
  if (!q.get("target") || !q.get("reason")?.trim()) return;
  const box = find("#verdict")!;
  box.setAttribute("aria-busy", "true");
  try {
    const res = await fetch(`${form.dataset.verdict}?${q}`, { credentials: "same-origin" });
    const fresh = new DOMParser().parseFromString(await res.text(), "text/html").getElementById("verdict");
    if (fresh && current()) box.innerHTML = fresh.innerHTML;
  } catch {
    // The form can still be sent, and says then what is wrong.
  } finally {
    box.removeAttribute("aria-busy");
  }
}
