// A Web Services stand-in around Faye, a Bayeux server without the acknowledgement extension: the login, the operations
// by REST, and the events by long polling. Prints "listening PORT" when it is up; ends when its standard input closes.
//
// Arguments, each "--name value", as those of tests/real/cometd: port, users, timeout and acknowledgement-delay count
// here, and the others are ignored. There is no CSRF token, as at a site that has switched it off.
import { randomUUID } from "node:crypto";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import faye from "faye";

const options = { port: "0", users: "agent:secret", timeout: "30000", "acknowledgement-delay": "20" };
for (let index = 2; index < process.argv.length; index += 2) {
  options[process.argv[index].slice(2)] = process.argv[index + 1];
}
const users = new Map(options.users.split(",").map((pair) => pair.split(":")));
const logins = new Map();
const operations = [];
// The subscriptions of each session.
const sessions = new Map();
const NOTIFICATIONS = "/api/v2/notifications";
const DEVICE = "f32a46c4-8a48-4067-9965-537fc9788790";

const bayeux = new faye.NodeAdapter({ mount: NOTIFICATIONS, timeout: Number(options.timeout) / 1000 });
bayeux.on("handshake", (clientId) => sessions.set(clientId, new Set()));
bayeux.on("disconnect", (clientId) => sessions.delete(clientId));
bayeux.on("subscribe", (clientId, channel) => sessions.get(clientId)?.add(channel));
bayeux.on("unsubscribe", (clientId, channel) => sessions.get(clientId)?.delete(channel));
const local = bayeux.getClient();

const publish = (channel, data) => local.publish(channel, data);

function acknowledgement(handle, reference, body = {}) {
  return {
    record: {
      devicePath: body.devicePath ?? `/devices/${DEVICE}`,
      callingList: body.callingList ?? "CallingList1",
      applicationId: body.applicationId ?? 134,
      recordHandle: handle,
      campaignName: body.campaignName ?? "Campaign1",
    },
    notificationType: "DoNotCallAcknowledge",
    messageType: "OutboundRecordMessage",
    referenceId: reference,
  };
}

// Publishes acknowledgements at a rate (events/s), as the CometD stand-in does; returns when all are out.
async function generate({ generate: count, keys = 1000, start = 0, rate = 0, channel = "/v2/me/outbound" }) {
  const began = performance.now();
  for (let index = 0; index < count; index++) {
    const due = rate ? began + (index * 1000) / rate : 0;
    if (due > performance.now()) {
      await sleep(due - performance.now());
    }
    publish(channel, acknowledgement(index % keys, String(start + index)));
  }
  return count;
}

// Returns the user of the request, and gives one who logs in a cookie.
function login(request, response) {
  const cookie = /JSESSIONID=([\w-]+)/.exec(request.headers.cookie ?? "");
  const [scheme, credentials] = (request.headers.authorization ?? "").split(" ");
  if (scheme !== "Basic") {
    return logins.get(cookie?.[1]);
  }
  const [name, ...password] = Buffer.from(credentials, "base64").toString().split(":");
  if (users.get(name) !== password.join(":")) {
    return undefined;
  }
  const id = randomUUID();
  logins.set(id, name);
  response.setHeader("Set-Cookie", `JSESSIONID=${id}; Path=/; HttpOnly`);
  return name;
}

function reply(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}

async function json(request) {
  const pieces = [];
  for await (const piece of request) {
    pieces.push(piece);
  }
  return JSON.parse(Buffer.concat(pieces).toString() || "{}");
}

function user(name) {
  const device = { id: DEVICE, deviceState: "Active", phoneNumber: "5001", doNotDisturb: "Off" };
  return {
    id: "8c3f4f9e1b7d4f0f9a4b2f7f6f0d9c11",
    userName: name,
    roles: ["ROLE_AGENT"],
    enabled: true,
    features: [{ id: "api-voice-outbound", displayName: "API Voice Outbound" }],
    devices: [device],
    channels: [{ id: "voice", activated: true }],
  };
}

async function rest(request, response, path, name) {
  if (path === "/diagnostics/version") {
    return reply(response, 200, { statusCode: 0, version: "8.5.202.96" });
  }
  if (name === undefined) {
    return reply(response, 403, { statusCode: 20, statusMessage: "Access denied" });
  }
  if (request.method === "GET" && path === "/me") {
    return reply(response, 200, { statusCode: 0, user: user(name) });
  }
  const record = /^\/me\/outbound-records(?:\/(\d+))?$/.exec(path);
  if (request.method !== "POST" || !(record || path === "/me")) {
    return reply(response, 404, { statusCode: 6, statusMessage: "Resource not found" });
  }
  const body = await json(request);
  operations.push({ path: `/api/v2${path}`, body, at: Date.now() / 1000 });
  if (record) {
    const handle = record[1] === undefined ? null : Number(record[1]);
    const event = acknowledgement(handle, body.referenceId, body);
    setTimeout(() => publish("/v2/me/outbound", event), Number(options["acknowledgement-delay"]));
  }
  return reply(response, 200, { statusCode: 0 });
}

async function control(request, response, path) {
  if (path === "/sessions") {
    // The session of this process itself, which publishes, has no subscriptions.
    const remote = [...sessions].filter(([, subscriptions]) => subscriptions.size > 0);
    const shown = remote.map(([clientId, subscriptions]) => ({
      clientId,
      user: "agent",
      queued: 0,
      subscriptions: [...subscriptions],
      connected: true,
    }));
    return reply(response, 200, shown);
  }
  if (path === "/operations") {
    return reply(response, 200, operations);
  }
  if (path === "/publish") {
    return reply(response, 200, { published: await generate(await json(request)) });
  }
  return reply(response, 404, { error: "no such path" });
}

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  try {
    if (pathname.startsWith("/simulator/")) {
      await control(request, response, pathname.slice("/simulator".length));
    } else {
      await rest(request, response, pathname.slice("/api/v2".length), login(request, response));
    }
  } catch (error) {
    reply(response, 400, { statusCode: 10, statusMessage: String(error) });
  }
});
bayeux.attach(server);
// Faye asks nobody for a login, so it happens before Faye sees the request.
const [notifications] = server.listeners("request");
server.removeListener("request", notifications);
server.on("request", (request, response) => {
  if (request.url.startsWith(NOTIFICATIONS) && login(request, response) === undefined) {
    reply(response, 403, { statusCode: 20, statusMessage: "Access denied" });
  } else {
    notifications.call(server, request, response);
  }
});
// Longer than any poll, and than the pause between two of a client's requests.
server.keepAliveTimeout = 120_000;
server.listen(Number(options.port), "127.0.0.1", () => console.log(`listening ${server.address().port}`));
process.stdin.resume().on("end", () => process.exit(0));
