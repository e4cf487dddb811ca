// Builds what browsers get into the Python package. The same source gives the same bytes; `make console` compares them.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "../src/niyanta/server/rest/console/files");
await mkdir(out, { recursive: true });

const shared = { bundle: true, minify: true, target: ["es2022"], charset: "utf8", legalComments: "none", absWorkingDir: here };
await build({ ...shared, entryPoints: ["src/main.tsx"], format: "iife", outfile: join(out, "console.js") });
await build({ ...shared, entryPoints: ["src/styles/index.css"], outfile: join(out, "console.css") });
for (const name of ["index.html", "icon.svg"]) await copyFile(join(here, "static", name), join(out, name));

// What is bundled is under the MIT licence, which is passed on with it.
const bundled = ["preact", "@preact/signals", "@preact/signals-core"];
const texts = bundled.map(async (name) => {
  const folder = join(here, "node_modules", name);
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  return `${name} ${version}\n\n${(await readFile(join(folder, "LICENSE"), "utf8")).trim()}\n`;
});
await writeFile(join(out, "licenses.txt"), (await Promise.all(texts)).join(`\n${"-".repeat(72)}\n\n`));

// The page at /docs is shown by Swagger UI, as its makers built it. What its licence asks for lies beside it.
const swagger = ["swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"];
const docs = join(here, "../src/niyanta/server/rest/openapi/swagger_ui");
await mkdir(docs, { recursive: true });
for (const name of swagger) await copyFile(join(here, "node_modules/swagger-ui-dist", name), join(docs, name));
