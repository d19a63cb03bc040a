// Light and dark: as the system has it, or as the user has chosen in this browser.

import { useEffect, useState } from "preact/hooks";

const STORED = "memory-bank-console-theme";
const CHANGED = "console:theme";

export type Theme = "auto" | "light" | "dark";

export function storedTheme(): Theme {
  const stored = localStorage.getItem(STORED);
  return stored === "light" || stored === "dark" ? stored : "auto";
}

export function setTheme(theme: Theme): void {
  if (theme === "auto") {
    localStorage.removeItem(STORED);
    delete document.documentElement.dataset["theme"];
  } else {
    localStorage.setItem(STORED, theme);
    document.documentElement.dataset["theme"] = theme;
  }
  window.dispatchEvent(new Event(CHANGED));
}

function isDark(): boolean {
  const theme = storedTheme();
  return theme === "auto" ? window.matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark";
}

/** Whether the colours are dark now, for what does not follow style sheets. */
export function usePaper(): { isDark: boolean } {
  const [paper, setPaper] = useState(() => ({ isDark: isDark() }));
  useEffect(() => {
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    const update = () => setPaper((before) => (before.isDark === isDark() ? before : { isDark: isDark() }));
    system.addEventListener("change", update);
    window.addEventListener(CHANGED, update);
    return () => {
      system.removeEventListener("change", update);
      window.removeEventListener(CHANGED, update);
    };
  }, []);
  return paper;
}
