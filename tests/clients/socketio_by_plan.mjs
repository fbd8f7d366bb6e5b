// Talks LabelLab's protocol through npm's `socket.io-client`, in one of three generations: many sockets, by a plan.
//
// Standard input: the plan in one line of JSON, then `go` (send), then `stop`. Standard output: `caught_up`, `done`.
// Every event and every acknowledgement goes into the file `record` of the plan, one line each. See
// tests/src/clients/foreign.rs.

import { createWriteStream } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);

const RETRY_PAUSE_MS = 200;
const STOP_PATIENCE_MS = 3000;
const EVENTS = [
  "receive_message",
  "notification",
  "message_error",
  "typing",
  "message_stored",
  "caught_up",
  "subscription_ended",
  "token_expiring",
  "go_away",
];

function fail(problem) {
  console.error(problem);
  process.exit(1);
}

// The web client has ids that are numbers as numbers, the mobile client has all as strings.
const id = (text, version) => (version > 2 && /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : text);

// One user's client: it keeps its place in each team over as many connections as it takes.
class Member {
  attempt = 0;
  sending = false;
  stopping = false;
  waiting = [];
  inFlight = 0;
  caughtUp = new Set();
  messages = new Map();

  constructor(plan, { version, transports }, record, report) {
    this.plan = plan;
    this.version = version;
    this.record = record;
    this.report = report;
    this.cursors = new Map();
    for (const { team, after } of plan.subscriptions) if (after != null) this.cursors.set(team, Number(after));
    this.unfinished = new Map(plan.sends.map((send) => [`${send.team}/${send.client_id}`, { send, seq: null }]));
    const library = require(`socket.io-client-${version}`);
    this.socket = (library.io ?? library)(plan.urls[0], {
      transports,
      forceNew: true,
      ...(version === 2 ? { query: this.query() } : { auth: (give) => give(this.auth()) }),
    });
    if (version === 2) this.socket.on("reconnect_attempt", () => (this.socket.io.opts.query = this.query()));
    this.socket.on("connect", () => this.connected());
    this.socket.on("connect_error", (error) => this.notConnected(error));
    // In version 2: a refusal by the server, in words. Or an error of the transport, which it deals with by itself.
    this.socket.on("error", (error) => typeof error === "string" && fail(`${plan.name}: refused: ${error}`));
    this.socket.on("disconnect", (reason) => this.disconnected(reason));
    for (const event of EVENTS) this.socket.on(event, (data) => this.receive(event, data));
  }

  auth() {
    return { token: this.plan.token, resume: Object.fromEntries(this.cursors) };
  }

  // Version 2 has no payload.
  query() {
    const { token, resume } = this.auth();
    return { token, resume: JSON.stringify(resume) };
  }

  note(event, data) {
    const line = { connection: this.plan.name, attempt: this.attempt, at_ms: Date.now(), socketio: event, data };
    this.record.write(`${JSON.stringify(line)}\n`);
  }

  connected() {
    this.note("connected", {});
    this.storedUpTo = new Map();
    this.waiting = [...this.unfinished.values()].map(({ send }) => send);
    this.inFlight = 0;
    this.sendMore();
    this.report();
  }

  notConnected(error) {
    console.error(`${this.plan.name}: ${error.message} ${JSON.stringify(error.data)}`);
    // What the server has refused, the library does not try again by itself. Anything else it does.
    if (error.data?.code !== undefined) fail(`${this.plan.name}: refused for good`);
  }

  disconnected(reason) {
    if (this.stopping) return;
    if (reason === "io server disconnect") fail(`${this.plan.name}: sent away for good`);
    console.error(`${this.plan.name}: ${reason}, connecting again`);
    this.attempt += 1;
  }

  receive(event, data) {
    this.note(event, data);
    const team = String(data.team_id);
    if (event === "receive_message") {
      this.cursors.set(team, data.seq);
      this.messages.set(team, (this.messages.get(team) ?? 0) + 1);
    } else if (event === "caught_up") {
      this.cursors.set(team, Math.max(data.seq, this.cursors.get(team) ?? 0));
      this.caughtUp.add(team);
    } else if (event === "message_stored") {
      this.stored(team, data.seq);
    } else if (event === "subscription_ended") {
      if (!data.error.retryable) fail(`${this.plan.name}: ${JSON.stringify(data)}`);
      this.socket.io.engine.close();
    } else if (event === "message_error") {
      fail(`${this.plan.name}: ${JSON.stringify(data)}`);
    }
    this.report();
  }

  acknowledged(send, reply) {
    this.inFlight -= 1;
    if (reply.error) {
      this.note("refused", reply);
      if (!reply.error.retryable) fail(`${this.plan.name}: ${JSON.stringify(reply)}`);
      const attempt = this.attempt;
      setTimeout(() => {
        if (attempt === this.attempt) this.waiting.unshift(send);
        this.sendMore();
      }, RETRY_PAUSE_MS);
    } else {
      this.note("ack", reply);
      const entry = this.unfinished.get(`${send.team}/${send.client_id}`);
      if (entry) entry.seq = reply.seq;
      this.stored(send.team, reply.stored ? reply.seq : 0);
      this.sendMore();
    }
    this.report();
  }

  stored(team, upTo) {
    const storedUpTo = Math.max(upTo, this.storedUpTo.get(team) ?? 0);
    this.storedUpTo.set(team, storedUpTo);
    for (const [key, { send, seq }] of this.unfinished) {
      if (send.team === team && seq !== null && seq <= storedUpTo) this.unfinished.delete(key);
    }
  }

  go() {
    this.sending = true;
    this.sendMore();
    this.report();
  }

  sendMore() {
    if (!this.sending || this.stopping || !this.socket.connected) return;
    while (this.inFlight < this.plan.in_flight_max && this.waiting.length > 0) {
      const send = this.waiting.shift();
      const message = { team_id: id(send.team, this.version), client_id: send.client_id, body: send.body };
      const attempt = this.attempt;
      this.inFlight += 1;
      this.socket.emit("send_message", message, (reply) => attempt === this.attempt && this.acknowledged(send, reply));
    }
  }

  stop() {
    this.stopping = true;
    const engine = this.socket.io.engine;
    const ended = new Promise((resolve) => {
      if (engine?.readyState === "open") engine.on("close", resolve);
      else resolve();
    });
    this.socket.disconnect();
    return ended;
  }

  isCaughtUp() {
    const has = ({ team, after }) => after == null || this.caughtUp.has(team);
    return this.socket.connected && this.plan.subscriptions.every(has);
  }

  isDone() {
    const received = ({ team, messages }) => (this.messages.get(team) ?? 0) >= messages;
    return this.sending && this.unfinished.size === 0 && this.plan.subscriptions.every(received);
  }
}

let members = [];
let record;
const told = new Set();

// Looked at once for all that came at the same time.
let reporting;
function report() {
  reporting ??= setImmediate(() => {
    reporting = undefined;
    tell("caught_up", (member) => member.isCaughtUp());
    if (told.has("caught_up")) tell("done", (member) => member.isDone());
  });
}

function tell(word, holds) {
  if (!told.has(word) && members.length > 0 && members.every(holds)) {
    told.add(word);
    console.log(word);
  }
}

async function stop() {
  const patience = new Promise((resolve) => setTimeout(resolve, STOP_PATIENCE_MS));
  await Promise.race([Promise.all(members.map((member) => member.stop())), patience]);
  record.end(() => process.exit(0));
}

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  if (line === "go") {
    members.forEach((member) => member.go());
  } else if (line === "stop") {
    stop();
  } else {
    const plan = JSON.parse(line);
    record = createWriteStream(plan.record);
    members = plan.connections.map((connection) => new Member(connection, plan.client, record, report));
  }
});
// The test is gone when the input ends without `stop`.
input.on("close", () => members.some((member) => member.stopping) || fail("the input has ended"));
