import fs from "node:fs";
import path from "node:path";

const FILE = path.join(process.env.DATA_DIR || ".", "data.json");

export const pairs = fs.existsSync(FILE) ? JSON.parse(fs.readFileSync(FILE, "utf8")) : {};

export function save() {
  fs.writeFileSync(FILE, JSON.stringify(pairs));
}
