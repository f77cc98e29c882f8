// Small helpers over the DOM.

export function find<T extends HTMLElement = HTMLElement>(selector: string, root: ParentNode = document): T | null {
  return root.querySelector<T>(selector);
}

export function each<T extends HTMLElement = HTMLElement>(selector: string, f: (el: T) => void, root: ParentNode = document): void {
  root.querySelectorAll<T>(selector).forEach(f);
}

/** say puts a sentence where a screen reader hears it too. */
export function say(el: HTMLElement | null, text: string, wrong = false): void {
  if (!el) return;
  el.textContent = text;
  el.classList.toggle("wrong", wrong);
}

/** busy shows that a button is at work, and keeps it from being pressed twice. */
export function busy(button: HTMLButtonElement | null, yes: boolean): void {
  if (!button) return;
  button.disabled = yes;
  button.setAttribute("aria-busy", String(yes));
}
