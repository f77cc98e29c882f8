// Parts of a form that count only while another of its fields has a value:
// <fieldset data-if="NAME=VALUE">, or one of VALUE|VALUE. The others are hidden and disabled, so that
// they are neither sent nor required.

import { each } from "./dom";

export function bindIfs(): void {
  each<HTMLFormElement>("form:has([data-if])", (form) => {
    form.addEventListener("change", () => applyIfs(form));
    applyIfs(form);
  });
}

/** applyIfs goes from the outside in: what is disabled has no value. */
export function applyIfs(form: HTMLFormElement): void {
  each<HTMLFieldSetElement>("fieldset[data-if]", (f) => {
    const [name, value] = (f.dataset.if ?? "").split("=");
    f.hidden = f.disabled = !value!.split("|").includes(String(new FormData(form).get(name!)));
  }, form);
}
