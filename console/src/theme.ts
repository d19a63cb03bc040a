// Light and dark: as the system has it, or as the user has chosen in this browser.

const STORED = "memory-bank-console-theme";

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
}
