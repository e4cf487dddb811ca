/** Light or dark: what the system says, until the reader says otherwise. */
import { effect, signal } from "@preact/signals";

type Theme = "light" | "dark";
const KEPT = "niyanta.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function kept(): Theme | null {
  const found = localStorage.getItem(KEPT);
  return found === "light" || found === "dark" ? found : null;
}

export const theme = signal<Theme>(kept() ?? (system.matches ? "dark" : "light"));

system.addEventListener("change", () => {
  if (!kept()) theme.value = system.matches ? "dark" : "light";
});

effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
});

export function switchTheme(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(KEPT, theme.value);
}
