// Clients of Socket.IO that follow their teams and send for ever: npm's `socket.io-client`, in two generations.
//
// Standard input: the plan in one line of JSON, then `quiet` (send nothing new), then `stop`. Standard output: what each
// client does and sees, lines of a recording without their times. See tests/src/faults/fleet/socketio.rs.

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);

// The same bounds as those of the native clients, in tests/src/faults/fleet/outbox.rs.
const IN_FLIGHT_MAX = 8;
const UNACKNOWLEDGED_MAX = 32;
const ACKNOWLEDGED_MAX = 128;
const ONE_IN_LATE_RETRIES = 60;
const CONNECT_BOUND_MS = 5000;
const ANSWER_BOUND_MS = 20000;
const STOP_PATIENCE_MS = 3000;

const digest = (body) => createHash("sha256").update(body, "utf8").digest("hex").slice(0, 16);

// mulberry32: the same numbers for the same seed.
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

class Client {
  connection = 0;
  failures = 0;
  number = 0;
  quiet = false;
  stopping = false;
  connected = false;
  // By number: what is not acknowledged, in its order.
  entries = new Map();
  acknowledged = [];

  constructor(plan, gateways) {
    this.plan = plan;
    this.gateways = gateways;
    this.gateway = plan.gateway;
    this.random = generator(plan.seed);
    this.cursors = new Map(plan.teams.map((team) => [team, 0]));
    this.open();
    this.pace();
  }

  between(from, to) {
    return from + this.random() * (to - from);
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  note(note, fields) {
    const line = { client: this.plan.name, connection: this.connection, note, ...fields };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }

  open() {
    const { version, transports, token } = this.plan;
    const gateway = this.gateways[this.gateway % this.gateways.length];
    const resume = Object.fromEntries(this.cursors);
    const library = require(`socket.io-client-${version}`);
    const socket = (library.io ?? library)(gateway.url, {
      transports,
      forceNew: true,
      reconnection: false,
      timeout: CONNECT_BOUND_MS,
      // Version 2 has no payload.
      ...(version === 2 ? { query: { token, resume: JSON.stringify(resume) } } : { auth: { token, resume } }),
    });
    this.socket = socket;
    let over = false;
    const ended = (reason) => {
      if (over) return;
      over = true;
      clearTimeout(patience);
      socket.disconnect();
      if (socket === this.socket) this.ended(reason);
    };
    // The library's own bound ends with the transport: the session may still not come.
    const patience = setTimeout(() => ended("not connected in time"), 2 * CONNECT_BOUND_MS);
    const on = (event, act) => socket.on(event, (data) => over || act(data));
    on("connect", () => {
      clearTimeout(patience);
      this.failures = 0;
      this.connected = true;
      this.note("connected", { user: this.plan.name, gateway: gateway.name, sees: "messages" });
      for (const team of this.plan.teams) this.note("subscribe", { team, after: resume[team] });
      this.sendDue();
    });
    socket.on("connect_error", (error) => ended(`cannot connect: ${error.message ?? error} ${JSON.stringify(error.data ?? null)}`));
    // In version 2: a refusal by the server, or an error of the transport.
    socket.on("error", (error) => ended(`error: ${error.message ?? error}`));
    socket.on("disconnect", (reason) => ended(reason));
    on("receive_message", (message) => {
      const team = String(message.team_id);
      this.advance(team, message.seq);
      this.note("event", {
        team,
        seq: message.seq,
        sender: String(message.user_id),
        client_id: message.client_id,
        digest: digest(message.body),
        kind: "posted",
      });
    });
    on("caught_up", ({ team_id, seq }) => {
      const team = String(team_id);
      this.advance(team, seq);
      this.note("caught_up", { team, seq });
    });
    on("message_stored", ({ team_id, seq }) => this.note("stored", { team: String(team_id), seq }));
    on("subscription_ended", ({ team_id, error }) => {
      this.note("ended", { team: String(team_id), code: error.code });
      ended(`the subscription to ${team_id} ended: ${error.code}`);
    });
    on("message_error", (text) => ended(`message_error: ${text}`));
    on("go_away", ({ reconnect_in_ms }) => (this.reconnectIn = reconnect_in_ms));
  }

  ended(reason) {
    if (this.connected) {
      this.connected = false;
      this.note("disconnected", { reason });
      this.connection += 1;
    } else {
      this.failures += 1;
    }
    if (reason !== "transport close") console.error(`${new Date().toISOString()} ${this.plan.name}: ${reason}`);
    for (const entry of this.entries.values()) entry.inFlight = false;
    this.gateway += 1;
    if (this.stopping) return;
    const pause = this.reconnectIn ?? Math.min(this.between(20, 400) * 2 ** this.failures, 2000);
    this.reconnectIn = undefined;
    setTimeout(() => this.stopping || this.open(), pause);
  }

  advance(team, seq) {
    this.cursors.set(team, Math.max(seq, this.cursors.get(team) ?? 0));
  }

  pace() {
    const interval = 1000 / this.plan.messages_per_second;
    setTimeout(
      () => {
        if (this.stopping) return;
        if (!this.quiet && this.entries.size < UNACKNOWLEDGED_MAX) {
          this.entries.set(this.number, { message: this.newMessage(), inFlight: false, notBefore: 0 });
          this.number += 1;
        }
        this.sendDue();
        this.pace();
      },
      interval * this.between(0.5, 1.5),
    );
  }

  newMessage() {
    if (this.acknowledged.length > 0 && this.random() < 1 / ONE_IN_LATE_RETRIES) return this.pick(this.acknowledged);
    const client_id = `${this.plan.name}-${this.number}`;
    const filling = Array.from({ length: Math.floor(this.random() * 20) }, () => this.random().toString(36).slice(2, 9));
    return { team: this.pick(this.plan.teams), client_id, body: [client_id, ...filling].join(" ") };
  }

  sendDue() {
    if (!this.connected) return;
    const inFlight = () => [...this.entries.values()].filter((entry) => entry.inFlight).length;
    for (const [number, entry] of this.entries) {
      if (inFlight() >= IN_FLIGHT_MAX) return;
      if (!entry.inFlight && entry.notBefore <= Date.now()) this.send(number, entry);
    }
  }

  send(number, entry) {
    const { team, client_id, body } = entry.message;
    const connection = this.connection;
    entry.inFlight = true;
    this.note("send", { team, client_id, digest: digest(body) });
    const patience = setTimeout(() => {
      if (connection === this.connection) this.unknown(entry);
    }, ANSWER_BOUND_MS);
    this.socket.emit("send_message", { team_id: team, client_id, body }, (reply) => {
      clearTimeout(patience);
      if (connection !== this.connection) return;
      if (reply.error) {
        const { code, retryable } = reply.error;
        this.note("refused", { team, client_id, code, retryable });
        if (retryable) this.unknown(entry);
        else this.entries.delete(number);
        return;
      }
      this.note("accepted", { team, client_id, seq: reply.seq, duplicate: reply.duplicate });
      if (reply.stored) this.note("stored", { team, seq: reply.seq });
      if (this.entries.delete(number)) this.remember(entry.message, number);
      this.sendDue();
    });
  }

  unknown(entry) {
    entry.inFlight = false;
    entry.notBefore = Date.now() + this.between(200, 500);
  }

  remember(message, number) {
    this.acknowledged.push(message);
    // Some stay for long.
    if (this.acknowledged.length > ACKNOWLEDGED_MAX) this.acknowledged.splice((number % 2) * (ACKNOWLEDGED_MAX / 2), 1);
  }

  stop() {
    this.stopping = true;
    const engine = this.socket.io.engine;
    const closed = new Promise((resolve) => {
      if (engine?.readyState === "open") engine.on("close", resolve);
      else resolve();
    });
    this.socket.disconnect();
    return closed;
  }
}

let clients = [];

async function stop() {
  const patience = new Promise((resolve) => setTimeout(resolve, STOP_PATIENCE_MS));
  await Promise.race([Promise.all(clients.map((client) => client.stop())), patience]);
  process.stdout.write("", () => process.exit(0));
}

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  if (line === "quiet") {
    for (const client of clients) client.quiet = true;
  } else if (line === "stop") {
    stop();
  } else {
    const plan = JSON.parse(line);
    clients = plan.clients.map((client) => new Client(client, plan.gateways));
  }
});
// The run is gone when the input ends without `stop`.
input.on("close", () => clients.some((client) => client.stopping) || process.exit(1));
