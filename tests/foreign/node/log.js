// console.log was slow under load, so lines are collected and written together
let lines = [];

export function log(...words) {
  lines.push(`${new Date().toISOString()} ${words.join(" ")}`);
}

export function flush() {
  if (lines.length) process.stdout.write(lines.join("\n") + "\n");
  lines = [];
}

setInterval(flush, 5000);
