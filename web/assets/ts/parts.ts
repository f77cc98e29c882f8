// Copy buttons, verification, printing, digests of files, halves of a form.

import { busy, each, find, say } from "./dom";
import { get } from "./http";
import { hex, sha256 } from "./canonical";

export function bindParts(root: ParentNode = document): void {
  each<HTMLButtonElement>("button[data-script]", (b) => (b.disabled = false), root);
  each<HTMLButtonElement>("button[data-copy]", copy, root);
  each<HTMLButtonElement>("button[data-verify]", verify, root);
  each<HTMLButtonElement>("button[data-print]", (b) => (b.onclick = () => print()), root);
  each<HTMLInputElement>("input[data-digest]", digest, root);
  each<HTMLSelectElement>("select[data-half]", halves, root);
}

function copy(button: HTMLButtonElement): void {
  const word = button.textContent;
  const label = button.getAttribute("aria-label");
  const show = (text: string | null, name: string | null) => {
    button.textContent = text;
    if (name !== null) button.setAttribute("aria-label", name);
  };
  button.onclick = async () => {
    const text = document.getElementById(button.dataset.copy!)?.textContent ?? "";
    try {
      await navigator.clipboard.writeText(text);
      show("Copied", label && "Copied");
    } catch {
      show("Select it and copy", label && "Select it and copy");
    }
    setTimeout(() => show(word, label), 2000);
  };
}

interface Verified {
  holds?: boolean;
  fault?: string;
  size?: number;
  faults?: string[] | null;
}

function verify(button: HTMLButtonElement): void {
  button.onclick = async () => {
    const out = find("#verified")!;
    busy(button, true);
    say(out, "Verifying…");
    try {
      const v = await get<Verified>(button.dataset.verify!);
      const faults = v.faults ?? (v.fault ? [v.fault] : []);
      out.className = "tag " + (faults.length ? "stop" : "ok");
      say(out, faults.length ? `✕ ${faults[0]}${faults.length > 1 ? ` and ${faults.length - 1} more` : ""}` : v.size === undefined ? "✓ All seals hold" : `✓ All ${v.size} lines hold`);
    } catch (e) {
      out.className = "tag stop";
      say(out, (e as Error).message);
    } finally {
      busy(button, false);
    }
  };
}

function digest(input: HTMLInputElement): void {
  input.onchange = async () => {
    const file = input.files?.[0];
    const into = input.form?.elements.namedItem(input.dataset.digest!) as HTMLInputElement | null;
    if (file && into) into.value = hex(await sha256(await file.arrayBuffer()));
  };
}

// A person is of the staff or of a vendor: only that half's roles are offered.
function halves(select: HTMLSelectElement): void {
  const show = () => {
    each<HTMLFieldSetElement>("fieldset[data-half-of]", (f) => {
      f.hidden = f.disabled = (f.dataset.halfOf === "vendor") !== (select.value !== "");
      each<HTMLInputElement>("input", (i) => (i.disabled = f.disabled), f);
    }, select.form!);
  };
  select.onchange = show;
  show();
}
