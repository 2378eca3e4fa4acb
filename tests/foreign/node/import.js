// node import.js backup.json
import fs from "node:fs";

import { pairs, save } from "./store.js";

try {
  Object.assign(pairs, JSON.parse(fs.readFileSync(process.argv[2], "utf8")));
  save();
  console.log("imported, there are now", Object.keys(pairs).length);
} catch (error) {
  console.log("import failed:", error.message);
}
