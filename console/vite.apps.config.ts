// Builds one page of MCP Apps, named by the mode, as a single file: a host shows it where it can load nothing.

import { defineConfig, type Plugin } from "vite";

/** Puts the script and the style of a page into it. */
function single(): Plugin {
  return {
    name: "single-file",
    enforce: "post",
    generateBundle(_options, bundle) {
      let [script, style] = ["", ""];
      for (const [name, file] of Object.entries(bundle)) {
        if (name.endsWith(".html")) continue;
        if (file.type === "chunk") script += file.code;
        else if (name.endsWith(".css")) style += String(file.source);
        else this.error(`${name} is a file of its own`);
        Reflect.deleteProperty(bundle, name);
      }
      // Within a page a script ends at these characters, wherever they are.
      const safe = script.replace(/<(\/script|!--)/gi, "\\x3c$1");
      for (const page of Object.values(bundle)) {
        if (page.type !== "asset") continue;
        page.source = String(page.source)
          .replace(/\s*<script type="module"[^>]*><\/script>/, () => "")
          .replace(/\s*<link rel="stylesheet"[^>]*>/, () => "")
          .replace("</head>", () => `<style>${style.trim()}</style>\n  </head>`)
          .replace("</body>", () => `<script>${safe.trim()}</script>\n  </body>`);
      }
    },
  };
}

export default defineConfig(({ mode }) => ({
  plugins: [single()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    emptyOutDir: false,
    modulePreload: false,
    cssCodeSplit: false,
    // The colours of hosts use `light-dark()`, too.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    reportCompressedSize: false,
    sourcemap: false,
    rolldownOptions: { input: `apps/${mode}.html`, output: { format: "iife" } },
  },
}));
