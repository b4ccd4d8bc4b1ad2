#!/usr/bin/env node
// Prints what @asyncapi/parser finds in a document, as a JSON list; ends with 1 if there is an error, or no document.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const ERROR = 0;
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
console.log(JSON.stringify(diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path, message }))));
process.exit(document === undefined || diagnostics.some(({ severity }) => severity === ERROR) ? 1 : 0);
