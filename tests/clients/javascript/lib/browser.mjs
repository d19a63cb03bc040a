// The browser that tests of pages drive.

import { existsSync } from "node:fs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const playwright = await import("playwright-core").catch(() => undefined);

/** Why no browser can be used; `false` if one can. */
export const skip = playwright && existsSync(CHROMIUM) ? false : "Chromium or playwright-core is not installed";
// Continuous integration must not leave these tests out in silence.
if (skip && process.env.CI) throw new Error(skip);

export const launch = () => playwright.chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
