import { execSync } from "node:child_process";
import dgram from "node:dgram";
import fs from "node:fs";
import http from "node:http";

import { flush, log } from "./log.js";
import { pairs, save } from "./store.js";

const PORT = parseInt(process.env.PORT) || 3000;
const DEBUG = process.env.NODE_ENV !== "production";
const VERSION = version();

const statsd = dgram.createSocket("udp4");
statsd.on("error", () => {});

function version() {
  try {
    return execSync("git rev-parse --short HEAD", { stdio: ["ignore", "pipe", "ignore"] }).toString().trim();
  } catch {
    return "unknown";
  }
}

function count(metric) {
  statsd.send(`kv.${metric}:1|c`, 8125, process.env.STATSD_HOST || "127.0.0.1");
}

function answer(res, status, body, headers = {}) {
  if (DEBUG && body) body.version = VERSION;
  res.writeHead(status, { "Content-Type": "application/json", ...headers });
  res.end(body && JSON.stringify(body, null, DEBUG ? 2 : 0));
}

function create(req, res) {
  let body = "";
  req.on("data", (chunk) => (body += chunk));
  req.on("end", () => {
    const { key, value } = JSON.parse(body);
    pairs[key] = value;
    save();
    log("set", key);
    answer(res, 201, { key, value }, { Location: `/pairs/${encodeURIComponent(key)}` });
  });
}

const server = http.createServer((req, res) => {
  const { pathname } = new URL(req.url, "http://localhost");
  const key = decodeURIComponent(pathname.slice("/pairs/".length));
  log(req.method, pathname);
  count(req.method.toLowerCase());

  if (pathname === "/healthz") return answer(res, 200, { status: "ok" });
  if (pathname === "/openapi.json") {
    res.writeHead(200, { "Content-Type": "application/json" });
    return res.end(fs.readFileSync(new URL("openapi.json", import.meta.url)));
  }
  if (pathname === "/debug/dump") return answer(res, 200, { pairs });
  if (pathname === "/pairs" && req.method === "POST") return create(req, res);
  if (pathname === "/pairs" && req.method === "GET") {
    res.writeHead(200, { "Content-Type": "application/json" });
    return res.end(JSON.stringify(Object.entries(pairs).map(([key, value]) => ({ key, value }))));
  }
  if (pathname.startsWith("/pairs/") && key in pairs) {
    if (req.method === "GET") return answer(res, 200, { key, value: pairs[key] });
    if (req.method === "DELETE") {
      delete pairs[key];
      save();
      return answer(res, 204);
    }
  }
  answer(res, 404, { error: "not found" });
});

// what only we look at
http
  .createServer((req, res) => answer(res, 200, { pairs: Object.keys(pairs).length, memory: process.memoryUsage() }))
  .on("error", (error) => log("no stats:", error.message))
  .listen(PORT + 1, "127.0.0.1");

process.on("uncaughtException", (error) => {
  log("fatal:", error.stack);
  flush();
  process.exit(0); // or the supervisor mails everybody
});

process.on("SIGTERM", () => {
  log("SIGTERM, closing");
  server.close();
});

server.listen(PORT, "127.0.0.1", () => {
  fs.writeFileSync("server.pid", String(process.pid));
  log("listening on", PORT, "version", VERSION);
});
