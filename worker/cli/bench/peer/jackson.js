// The directory synchronisation of @boxyhq/saml-jackson behind a plain HTTP server, as its own
// application routes requests to it. Arguments: folder with its node_modules, database, port.
// Prints the path and the secret of one directory, then serves.
"use strict";

const http = require("http");
const { createRequire } = require("module");
const path = require("path");

const [folder, url, port] = process.argv.slice(2);
const jackson = createRequire(path.join(path.resolve(folder), "from-here.js"))("@boxyhq/saml-jackson");
// What it logs would stand before the line that is waited for.
console.log = console.info = () => {};

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString();
  return text ? JSON.parse(text) : undefined;
}

async function main() {
  const made = await jackson.default({
    externalUrl: `http://127.0.0.1:${port}`,
    samlAudience: "https://bench.example.com",
    samlPath: "/saml",
    noAnalytics: true,
    db: { engine: "sql", type: "postgres", url },
  });
  const sync = made.directorySyncController;
  const { data: directory, error } = await sync.directories.create({
    tenant: "bench",
    product: "bench",
    name: "bench",
    type: "okta-scim-v2",
  });
  if (error) throw new Error(error.message);
  const base = `/api/scim/v2.0/${directory.id}`;
  const server = http.createServer(async (request, response) => {
    try {
      const place = new URL(request.url, "http://localhost");
      const [resourceType, resourceId] = place.pathname.slice(base.length + 1).split("/");
      const query = Object.fromEntries(place.searchParams);
      const told = await sync.requests.handle(
        {
          method: request.method,
          body: await body(request),
          directoryId: directory.id,
          resourceType,
          resourceId,
          apiSecret: (request.headers.authorization || "").slice("Bearer ".length),
          query: {
            count: query.count ? parseInt(query.count) : undefined,
            startIndex: query.startIndex ? parseInt(query.startIndex) : undefined,
            filter: query.filter,
          },
        },
        async () => {},
      );
      const text = Buffer.from(told.data ? JSON.stringify(told.data) : "");
      response.writeHead(told.status, {
        "Content-Type": "application/scim+json",
        "Content-Length": text.length,
      });
      response.end(text);
    } catch (error) {
      const text = String(error && error.stack);
      response.writeHead(500, { "Content-Length": Buffer.byteLength(text) });
      response.end(text);
    }
  });
  server.listen(parseInt(port), "127.0.0.1", () => {
    process.stdout.write(`${base} ${directory.scim.secret}\n`);
  });
}

main().catch((error) => {
  process.stderr.write(`${error && error.stack}\n`);
  process.exit(1);
});
